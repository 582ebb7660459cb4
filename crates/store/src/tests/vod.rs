//! Assets, shares and grants, on every backend.

use std::collections::HashSet;

use base::{ErrorKind, Redacted};

use super::{Place, every, persistent};
use crate::*;

fn asset(n: u32) -> StoredAsset {
    StoredAsset {
        id: format!("00000000-0000-4000-8000-{n:012}"),
        library: "media".into(),
        location: format!("processed/{n}/master.m3u8"),
        slug: None,
        name: format!("Film {n}"),
        definition: "{}".into(),
        created_ms: 0,
    }
}

fn share(token: &str, asset: &str) -> StoredShare {
    StoredShare {
        token: Redacted::new(token.to_owned()),
        asset: asset.to_owned(),
        definition: Redacted::new("{\"title\":\"t\"}".to_owned()),
        views: 0,
        max_views: 0,
        created_ms: 0,
    }
}

#[tokio::test]
async fn an_asset_is_found_by_id_slug_and_place() {
    for place in every().await {
        let store = place.open().await;
        let first = StoredAsset {
            slug: Some("trailer".into()),
            ..asset(1)
        };
        assert_eq!(store.add_asset(&first).await.unwrap(), Kept::New);
        assert_eq!(store.add_asset(&asset(2)).await.unwrap(), Kept::New);
        for found in [
            store.asset(&first.id).await.unwrap(),
            store.asset("trailer").await.unwrap(),
            store.asset_at("media", &first.location).await.unwrap(),
        ] {
            let found = found.unwrap();
            assert!(found.created_ms > 0);
            assert_eq!(
                (found.id, found.definition),
                (first.id.clone(), first.definition.clone())
            );
        }
        assert_eq!(store.asset("nothing").await.unwrap(), None);
        assert_eq!(
            store.asset_at("other", &first.location).await.unwrap(),
            None
        );
    }
}

#[tokio::test]
async fn a_place_and_a_slug_are_taken_once() {
    for place in every().await {
        let store = place.open().await;
        let first = StoredAsset {
            slug: Some("a".into()),
            ..asset(1)
        };
        store.add_asset(&first).await.unwrap();
        let same_place = StoredAsset {
            location: first.location.clone(),
            ..asset(2)
        };
        let same_slug = StoredAsset {
            slug: Some("a".into()),
            ..asset(3)
        };
        let id = first.id.clone();
        assert_eq!(
            store.add_asset(&same_place).await.unwrap(),
            Kept::SamePlace(id.clone())
        );
        assert_eq!(
            store.add_asset(&same_slug).await.unwrap(),
            Kept::SameSlug(id.clone())
        );
        store.add_asset(&asset(4)).await.unwrap();
        let changed = StoredAsset {
            slug: Some("a".into()),
            ..asset(4)
        };
        assert_eq!(
            store.change_asset(&changed).await.unwrap(),
            Kept::SameSlug(id)
        );
        let renamed = StoredAsset {
            slug: None,
            name: "New".into(),
            ..first.clone()
        };
        assert_eq!(store.change_asset(&renamed).await.unwrap(), Kept::New);
        assert_eq!(store.change_asset(&changed).await.unwrap(), Kept::New);
        assert_eq!(store.change_asset(&asset(9)).await.unwrap(), Kept::Missing);
        let nul = StoredAsset {
            name: "a\0".into(),
            ..asset(5)
        };
        assert_eq!(
            store.add_asset(&nul).await.unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
}

#[tokio::test]
async fn assets_are_listed_by_pages_and_searched_to_the_letter() {
    for place in every().await {
        let store = place.open().await;
        for n in 0..250 {
            store.add_asset(&asset(n)).await.unwrap();
        }
        let odd = StoredAsset {
            name: "100%_Ünïcode!".into(),
            ..asset(999)
        };
        store.add_asset(&odd).await.unwrap();
        let mut seen = HashSet::new();
        let mut after: Option<(i64, String)> = None;
        let mut pages = 0;
        loop {
            let cursor = after.as_ref().map(|(ms, id)| (*ms, id.as_str()));
            let page = store.assets("", cursor).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.created_ms, last.id.clone()));
            pages += 1;
            seen.extend(page.into_iter().map(|asset| asset.id));
        }
        assert_eq!((seen.len(), pages), (251, 3));
        for (query, count) in [
            ("FILM 24", 11),
            ("%", 1),
            ("_", 1),
            ("!", 1),
            ("ünÏ", 1),
            ("%%", 0),
        ] {
            assert_eq!(
                store.assets(query, None).await.unwrap().len(),
                count,
                "{query}"
            );
        }
    }
}

#[tokio::test]
async fn a_share_counts_to_its_limit_and_goes_with_its_asset() {
    for place in every().await {
        let store = place.open().await;
        let asset = asset(1);
        store.add_asset(&asset).await.unwrap();
        store
            .add_share(&StoredShare {
                max_views: 2,
                ..share("one", &asset.id)
            })
            .await
            .unwrap();
        store.add_share(&share("two", &asset.id)).await.unwrap();
        let mut counted = Vec::new();
        for _ in 0..3 {
            counted.push(store.count_view("one").await.unwrap());
        }
        assert_eq!(counted, [true, true, false]);
        assert!(
            store.count_view("two").await.unwrap() && !store.count_view("three").await.unwrap()
        );
        let found = store.share("one").await.unwrap().unwrap();
        assert_eq!((found.views, found.max_views), (2, 2));
        assert!(
            store
                .change_share(&StoredShare {
                    max_views: 3,
                    ..found
                })
                .await
                .unwrap()
        );
        assert!(store.count_view("one").await.unwrap());
        assert!(
            !store
                .change_share(&share("three", &asset.id))
                .await
                .unwrap()
        );

        for _ in 0..ACTIVITY_MAX / 100 {
            store
                .note_activity("one", "viewed", "198.51.100.0/24")
                .await
                .unwrap();
        }
        assert_eq!(
            store.activity("one").await.unwrap().len(),
            ACTIVITY_MAX / 100
        );
        assert_eq!(store.activity("two").await.unwrap(), []);
        assert_eq!(store.shares(None).await.unwrap().len(), 2);
        assert_eq!(store.shares(Some(&asset.id)).await.unwrap().len(), 2);
        assert_eq!(store.shares(Some("other")).await.unwrap(), []);
        let delete = async || store.delete_share("two", "share:2").await.unwrap();
        assert_eq!(delete().await.unwrap().0.epoch, 1);
        assert_eq!(delete().await, None);
        assert_eq!(store.epochs().await.unwrap().len(), 1);
        assert!(store.delete_asset(&asset.id).await.unwrap());
        assert!(!store.delete_asset(&asset.id).await.unwrap());
        assert_eq!(store.share("one").await.unwrap(), None);
        assert_eq!(store.activity("one").await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_share_goes_together_with_what_came_from_it_or_not_at_all() {
    for place in [Place::directory(), Place::memory()] {
        let store = place.open().await;
        store.add_share(&share("one", "x")).await.unwrap();
        let stops = "BEFORE INSERT ON grant_epochs BEGIN SELECT RAISE(ABORT, 'stopped'); END";
        store.sql(&format!("CREATE TRIGGER stop {stops}")).await;
        let narrower = StoredShare {
            max_views: 1,
            ..share("one", "x")
        };
        store.narrow_share(&narrower, "share:1").await.unwrap_err();
        store.delete_share("one", "share:1").await.unwrap_err();
        let kept = store.share("one").await.unwrap().unwrap();
        assert_eq!(kept.max_views, 0);
        store.sql("DROP TRIGGER stop").await;
        let revoked = store.narrow_share(&narrower, "share:1").await.unwrap();
        assert_eq!(revoked.unwrap().0.epoch, 1);
        let kept = store.share("one").await.unwrap().unwrap();
        assert_eq!(kept.max_views, 1);
        let revoked = store.delete_share("one", "share:1").await.unwrap();
        assert_eq!(revoked.unwrap().0.epoch, 2);
        assert_eq!(store.share("one").await.unwrap(), None);
        assert_eq!(store.narrow_share(&narrower, "x").await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_grants_need_survives_and_is_told_to_others() {
    for place in persistent().await {
        let store = place.open().await;
        let first = store.secrets("grant").await.unwrap();
        assert_eq!(
            (first.len(), store.secrets("grant").await.unwrap()),
            (1, first.clone())
        );
        assert_ne!(
            store.secrets("hls").await.unwrap()[0].secret,
            first[0].secret
        );
        let mark = store.revocation_mark().await.unwrap();
        assert_eq!(store.revocation_mark().await.unwrap(), mark);

        let session = |id: &str, used_ms| StoredSession {
            id: id.into(),
            used_ms,
        };
        let sessions = [session("a", 1000), session("b", 2000), session("c", 3000)];
        store.save_sessions(&sessions, 0).await.unwrap();
        assert_eq!(store.revocation_mark().await.unwrap(), mark);
        store.revoke_session("a").await.unwrap();
        store.revoke_session("never used").await.unwrap();
        let marked = store.revocation_mark().await.unwrap();
        assert_ne!(marked, mark);
        store
            .save_sessions(&[session("b", 2500)], 2200)
            .await
            .unwrap();
        assert_eq!(store.raise_epoch("asset:x").await.unwrap().0.epoch, 1);
        assert_eq!(store.raise_epoch("asset:x").await.unwrap().0.epoch, 2);
        assert_ne!(store.revocation_mark().await.unwrap(), marked);
        for _ in 0..SECRETS_MAX + 1 {
            store.add_secret("grant").await.unwrap();
        }
        store.close().await.unwrap();

        let store = place.open().await;
        let (mut running, mut revoked) = store.sessions().await.unwrap();
        running.sort_by(|a, b| a.id.cmp(&b.id));
        revoked.sort();
        assert_eq!(running, [session("b", 2500), session("c", 3000)]);
        assert_eq!(revoked, ["a", "never used"]);
        let epochs = store.epochs().await.unwrap();
        assert_eq!((epochs.len(), epochs[0].epoch), (1, 2));
        let ids: Vec<_> = store
            .secrets("grant")
            .await
            .unwrap()
            .iter()
            .map(|s| s.id)
            .collect();
        assert_eq!(ids, [6, 5, 4, 3]);
    }
}

#[tokio::test]
async fn a_mark_follows_revocations_of_its_own_but_no_others() {
    for place in every().await {
        let store = place.open().await;
        let mut known = store.revocation_mark().await.unwrap();
        for _ in 0..2 {
            known.follow(store.raise_epoch("asset:x").await.unwrap().1);
            known.follow(store.revoke_session("a").await.unwrap());
            assert_eq!(store.revocation_mark().await.unwrap(), known);
        }
        store.raise_epoch("asset:of another").await.unwrap();
        known.follow(store.revoke_session("b").await.unwrap());
        assert_ne!(store.revocation_mark().await.unwrap(), known);
    }
}

#[tokio::test]
async fn what_was_ended_is_forgotten_when_it_cannot_begin_again() {
    for place in every().await {
        let store = place.open().await;
        let ended = async || {
            let (_, mut ended) = store.sessions().await.unwrap();
            ended.sort();
            ended
        };
        let session = |id: &str| StoredSession {
            id: id.into(),
            used_ms: unix_ms(),
        };
        let begun = [session("begun"), session("begun too")];
        store.save_sessions(&begun, 0).await.unwrap();
        for id in ["begun", "begun too", "never begun"] {
            store.revoke_session(id).await.unwrap();
        }
        // A process that has not heard of it does not bring it back.
        store.save_sessions(&begun, 0).await.unwrap();
        assert_eq!(ended().await, ["begun", "begun too", "never begun"]);
        store
            .sql("UPDATE grant_sessions SET used_ms = 0 WHERE id <> 'begun too'")
            .await;
        store.save_sessions(&[], 0).await.unwrap();
        assert_eq!(ended().await, ["begun too", "never begun"]);
    }
}

#[tokio::test]
async fn a_token_is_exchanged_once() {
    for place in every().await {
        let store = place.open().await;
        let far = unix_ms() + 60_000;
        assert!(store.exchange_once("kid\none", far).await.unwrap());
        assert!(!store.exchange_once("kid\none", far).await.unwrap());
        assert!(store.exchange_once("kid\ntwo", 1).await.unwrap());
        assert!(store.exchange_once("kid\nthree", far).await.unwrap());
        // What has expired is refused for that, and need not be remembered.
        assert!(store.exchange_once("kid\ntwo", far).await.unwrap());
    }
}
