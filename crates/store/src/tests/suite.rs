//! What holds on every backend.

use base::{ErrorKind, Redacted};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sha2::{Digest, Sha256};

use super::{channel, every, persistent, position};
use crate::{
    CHANNELS_MAX, DEFINITION_BYTES_MAX, Error, Fault, KEYS_MAX, KeyId, MEMORY_BYTES_MAX, NewImport,
    Position, Positions, Store,
};

fn hex_sha256(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test]
async fn a_key_is_good_until_it_is_revoked() {
    for place in every().await {
        let store = place.open().await;
        let ring = store.key_ring();
        assert!(!store.has_keys() && ring.is_empty());

        let (info, key) = store.create_key("first").await.unwrap();
        let (other, other_key) = store.create_key("second").await.unwrap();
        let key = key.expose();
        assert_eq!(key.len(), 67);
        assert!(key.starts_with(&info.prefix) && info.prefix.len() == 8);
        assert_eq!(store.list_keys().await.unwrap().len(), 2);
        assert!(store.has_keys() && !ring.is_empty());

        assert_eq!(ring.verify(key), Some(info.id.clone()));
        assert_eq!(ring.verify(other_key.expose()), Some(other.id.clone()));
        for wrong in [
            "",
            "pk_",
            &key[..66],
            &key.to_uppercase(),
            &format!("{key} "),
        ] {
            assert_eq!(ring.verify(wrong), None, "{wrong}");
        }

        assert!(store.revoke_key(&info.id).await.unwrap());
        assert!(!store.revoke_key(&info.id).await.unwrap());
        assert_eq!(ring.verify(key), None);
        assert_eq!(ring.verify(other_key.expose()), Some(other.id.clone()));
        assert_eq!(store.list_keys().await.unwrap(), [other]);
    }
}

#[tokio::test]
async fn a_download_key_is_a_credential_of_its_own() {
    for place in every().await {
        let store = place.open().await;
        let (info, key) = store.create_key("").await.unwrap();
        let ring = store.key_ring();
        let download_key = hex_sha256(key.expose());
        assert_eq!(ring.verify_download_key(&download_key), Some(info.id));
        assert_eq!(ring.verify_download_key(&download_key.to_uppercase()), None);
        assert_eq!(ring.verify_download_key(key.expose()), None);
        assert_eq!(ring.verify(&download_key), None, "never for administration");

        // What is kept is neither of the two.
        let kept: Vec<u8> = sqlx::query_scalar("SELECT hash FROM api_keys")
            .fetch_one(&store.0.db.pool)
            .await
            .unwrap();
        assert_eq!(kept, Sha256::digest(&download_key).to_vec());
    }
}

#[tokio::test]
async fn an_imported_key_replaces_the_one_before() {
    for place in every().await {
        let store = place.open().await;
        let ring = store.key_ring();
        let [old, new] = ["the-first-secret", "the-second-secret"].map(str::to_owned);
        let [old, new] = [Redacted::new(old), Redacted::new(new)];
        let first = store.import_key("file", &old).await.unwrap();
        assert_eq!(first, store.import_key("file", &old).await.unwrap());
        assert!(first.imported && first.prefix.is_empty());
        assert_eq!(ring.verify(old.expose()), Some(first.id.clone()));

        let (made, made_key) = store.create_key("file").await.unwrap();
        let second = store.import_key("file", &new).await.unwrap();
        assert_eq!(ring.verify(old.expose()), None);
        assert_eq!(ring.verify(new.expose()), Some(second.id));
        assert_eq!(ring.verify(made_key.expose()), Some(made.id.clone()));
        assert_eq!(store.import_key("other", &made_key).await.unwrap(), made);
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_by_name() {
    for place in every().await {
        let store = place.open().await;
        for (key, reason) in [
            ("fifteen-letters", "16 to 1024"),
            (&"x".repeat(1025), "16 to 1024"),
            ("sixteen letters and spaces", "visible ascii"),
            ("sixteen-lettérs-é", "visible ascii"),
        ] {
            let error = store.import_key("", &Redacted::new(key.to_owned())).await;
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(reason), "{error}");
        }
        for label in ["two\nlines", "a\0b", &"x".repeat(129)] {
            let error = store.create_key(label).await.unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
        }
        let id = channel("news");
        let nul = store.put_channel(&id, "{\0}").await.unwrap_err();
        assert_eq!(nul.to_string(), "a channel's definition holds a NUL");
        let long = "x".repeat(DEFINITION_BYTES_MAX + 1);
        let long = store.put_channel(&id, &long).await.unwrap_err();
        assert_eq!(long.kind(), ErrorKind::TooLarge);
        assert!(!store.has_keys());
        assert_eq!(store.channels().await.unwrap(), []);
    }
}

#[tokio::test]
async fn keys_and_channels_are_bounded() {
    for place in every().await {
        let store = place.open().await;
        for _ in 0..KEYS_MAX {
            store.create_key("").await.unwrap();
        }
        let error = store.create_key("").await.unwrap_err();
        assert_eq!(error.to_string(), "the store holds at most 256 api keys");
        assert_eq!(store.list_keys().await.unwrap().len(), KEYS_MAX);

        store
            .sql(&format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {CHANNELS_MAX}) \
                 INSERT INTO channels SELECT 'c' || i, '{{}}', 0 FROM n"
            ))
            .await;
        let error = store.put_channel(&channel("one-more"), "{}").await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::TooLarge);
        store.put_channel(&channel("c7"), "new").await.unwrap();
        let channels = store.channels().await.unwrap();
        assert_eq!(channels.len(), CHANNELS_MAX);
        let c7 = channels.iter().find(|c| c.id.as_str() == "c7").unwrap();
        assert_eq!(c7.definition.expose(), "new");
    }
}

#[tokio::test]
async fn channels_are_put_replaced_and_deleted() {
    for place in every().await {
        let store = place.open().await;
        let [news, sport] = ["news", "sport"].map(channel);
        store.put_channel(&sport, r#"{"a":1}"#).await.unwrap();
        store.put_channel(&news, r#"{"b":"é'\"$1"}"#).await.unwrap();
        store.put_channel(&sport, r#"{"a":2}"#).await.unwrap();
        let channels = store.channels().await.unwrap();
        let seen: Vec<_> = channels
            .iter()
            .map(|c| (c.id.as_str(), c.definition.expose().as_str()))
            .collect();
        assert_eq!(
            seen,
            [("news", r#"{"b":"é'\"$1"}"#), ("sport", r#"{"a":2}"#)]
        );
        assert!(channels[0].updated_ms > 1_600_000_000_000);

        assert!(store.delete_channel(&news).await.unwrap());
        assert!(!store.delete_channel(&news).await.unwrap());
        assert_eq!(store.channels().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn the_newest_position_of_each_track_is_loaded_whether_or_not_it_is_written() {
    for place in every().await {
        let store = place.open().await;
        let positions = store.positions();
        positions.save(position("news", "video", 1));
        positions.save(position("news", "audio", 5));
        positions.save(position("news", "video", 2));
        positions.save(position("sport", "video", 9));
        let expected = [position("news", "audio", 5), position("news", "video", 2)];
        let news = channel("news");
        assert_eq!(store.load_positions(&news).await.unwrap(), expected);
        store
            .health_is("written", |h| h.saved == 3 && h.waiting == 0)
            .await;
        assert_eq!(store.load_positions(&news).await.unwrap(), expected);

        positions.save(position("news", "video", 3));
        let expected = [position("news", "audio", 5), position("news", "video", 3)];
        assert_eq!(store.load_positions(&news).await.unwrap(), expected);
        store.health_is("written again", |h| h.saved == 4).await;
        assert_eq!(store.load_positions(&news).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn resolvers_remember_and_are_forgotten() {
    for place in every().await {
        let store = place.open().await;
        assert!(store.resolver("club").await.unwrap().is_none());
        for memory in ["{}", r#"{"é'\"$1":2}"#] {
            store.put_resolver("club", memory).await.unwrap();
            store.put_resolver("gone", memory).await.unwrap();
            let kept = store.resolver("club").await.unwrap().unwrap();
            assert_eq!(kept.expose(), memory);
        }
        store
            .keep_resolvers(&["club".to_owned(), "new".to_owned()])
            .await
            .unwrap();
        assert!(store.resolver("club").await.unwrap().is_some());
        assert!(store.resolver("gone").await.unwrap().is_none());
        for (memory, reason) in [
            ("\0".to_owned(), "a resolver's memory holds a NUL"),
            (
                "x".repeat(MEMORY_BYTES_MAX + 1),
                "the store holds at most 8388608 bytes of a resolver's memory",
            ),
        ] {
            let error = store.put_resolver("club", &memory).await.unwrap_err();
            assert_eq!(error.to_string(), reason);
        }
    }
}

#[tokio::test]
async fn positions_outlive_their_channel() {
    for place in every().await {
        let store = place.open().await;
        let positions = store.positions();
        positions.save(position("news", "written", 1));
        positions.save(position("sport", "video", 1));
        store.health_is("written", |h| h.saved == 2).await;
        positions.save(position("news", "waiting", 1));
        positions.save(position("sport", "waiting", 1));
        store.delete_channel(&channel("news")).await.unwrap();
        store
            .health_is("the rest is written", |h| h.saved == 4)
            .await;
        for id in ["news", "sport"] {
            let kept = store.load_positions(&channel(id)).await.unwrap();
            assert_eq!(kept.len(), 2, "{id}");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_dropped_like_a_killed_process_keeps_what_was_answered() {
    for place in persistent().await {
        let store = place.open().await;
        let (info, key) = store.create_key("kept").await.unwrap();
        store.put_channel(&channel("news"), "{}").await.unwrap();
        store.positions().save(position("news", "video", 41));
        store.health_is("written", |h| h.saved == 1).await;
        drop(store);

        let store = place.open().await;
        assert_eq!(store.key_ring().verify(key.expose()), Some(info.id));
        assert_eq!(store.channels().await.unwrap().len(), 1);
        let loaded = store.load_positions(&channel("news")).await.unwrap();
        assert_eq!(loaded, [position("news", "video", 41)]);
    }
}

#[tokio::test]
async fn closing_writes_what_waits_and_then_refuses() {
    for place in persistent().await {
        let store = place.open().await;
        let positions = store.positions();
        // More than one batch.
        for n in 0..1000 {
            positions.save(position("news", &n.to_string(), n));
        }
        store.close().await.unwrap();
        store.close().await.unwrap();
        positions.save(position("news", "late", 1));
        assert_eq!((store.health().saved, store.health().dropped), (1000, 1));
        let error = store.channels().await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Database {
                    fault: Fault::Closed,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(error.kind(), ErrorKind::Unavailable);

        let store = place.open().await;
        let loaded = store.load_positions(&channel("news")).await.unwrap();
        assert_eq!(loaded.len(), 1000);
    }
}

#[tokio::test]
async fn positions_that_cannot_be_written_wait_and_are_written_once_they_can() {
    for place in every().await {
        let store = place.open().await;
        let positions = store.positions();
        store.sql("ALTER TABLE positions RENAME TO gone").await;
        positions.save(position("news", "video", 1));
        store.health_is("failing", |h| h.failures >= 2).await;
        let health = store.health();
        assert_eq!((health.saved, health.waiting), (0, 1));
        assert!(health.error.unwrap().contains("saving positions"));
        positions.save(position("news", "video", 2));
        store.sql("ALTER TABLE gone RENAME TO positions").await;
        store
            .health_is("well again", |h| h.saved == 1 && h.error.is_none())
            .await;
        let loaded = store.load_positions(&channel("news")).await.unwrap();
        assert_eq!(loaded, [position("news", "video", 2)]);
    }
}

#[tokio::test]
async fn closing_says_that_positions_were_lost() {
    for place in every().await {
        let store = place.open().await;
        store.sql("ALTER TABLE positions RENAME TO gone").await;
        store.positions().save(position("news", "video", 1));
        let error = store.close().await.unwrap_err();
        assert!(error.to_string().contains("saving positions"), "{error}");
    }
}

#[tokio::test]
async fn what_waits_is_bounded_and_no_name_stops_the_rest() {
    for place in every().await {
        let store = place.open().await;
        let positions = store.positions();
        let mut strange = position("news", "video", 1);
        strange.source = "a\0b".to_owned();
        strange.source_name = "x".repeat(513);
        positions.save(strange);
        positions.save(position("news", "a\0b", 1));
        positions.save(position("news", &"x".repeat(513), 1));
        assert_eq!(store.health().dropped, 2);
        // The writer cannot run before the first await of this thread.
        for n in 1..16_384 {
            positions.save(position("news", &n.to_string(), n));
        }
        assert_eq!(
            (store.health().waiting, store.health().dropped),
            (16_384, 2)
        );
        positions.save(position("news", "one more", 1));
        positions.save(position("news", "1", 2));
        assert_eq!(
            (store.health().waiting, store.health().dropped),
            (16_384, 3)
        );

        store.health_is("written", |h| h.saved == 16_384).await;
        let loaded = store.load_positions(&channel("news")).await.unwrap();
        let video = loaded.iter().find(|p| p.track == "video").unwrap();
        assert_eq!(
            (video.source.as_str(), video.source_name.as_str()),
            ("", "")
        );
    }
}

fn positions() -> impl Strategy<Value = Vec<Position>> {
    let numbers = any::<[u64; 6]>();
    let texts = ("[^\0]{0,40}", "[^\0]{0,40}", any::<i64>());
    proptest::collection::vec((numbers, texts), 0..40).prop_map(|all| {
        let position = |(n, (numbers, (source, source_name, updated_ms)))| {
            let [
                next_msn,
                head_msn,
                dsn,
                discontinuity_msn,
                source_msn,
                target_duration_s,
            ]: [u64; 6] = numbers;
            Position {
                channel: channel("news"),
                track: format!("{n:02}"),
                next_msn,
                head_msn,
                dsn,
                discontinuity_msn,
                source,
                source_msn,
                source_name,
                target_duration_s,
                updated_ms,
            }
        };
        all.into_iter().enumerate().map(position).collect()
    })
}

#[test]
fn any_position_comes_back_as_it_was_saved() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for place in runtime.block_on(persistent()) {
        let case = std::cell::Cell::new(0);
        let check = |mut saved: Vec<Position>| {
            let id = channel(&format!("case-{}", case.replace(case.get() + 1)));
            let loaded = runtime.block_on(async {
                let store = place.open().await;
                for position in &mut saved {
                    position.channel = id.clone();
                    store.positions().save(position.clone());
                }
                store.close().await.unwrap();
                let store = place.open().await;
                let loaded = store.load_positions(&id).await.unwrap();
                store.close().await.unwrap();
                loaded
            });
            prop_assert_eq!(loaded, saved);
            Ok(())
        };
        let config = Config {
            cases: 24,
            failure_persistence: None,
            ..Config::default()
        };
        TestRunner::new(config).run(&positions(), check).unwrap();
    }
}

#[tokio::test]
async fn every_operation_can_run_in_a_task() {
    for place in every().await {
        let task = tokio::spawn(async move {
            let (store, id) = (place.open().await, channel("news"));
            let (_, key) = store.create_key("").await.unwrap();
            store.import_key("", &key).await.unwrap();
            store.list_keys().await.unwrap();
            let nobody = KeyId::from("nobody".to_owned());
            assert!(!store.revoke_key(&nobody).await.unwrap());
            store.reload_keys().await.unwrap();
            store.put_channel(&id, "{}").await.unwrap();
            store.channels().await.unwrap();
            store.load_positions(&id).await.unwrap();
            store.delete_channel(&id).await.unwrap();
            store.secrets("").await.unwrap();
            store.add_secret("").await.unwrap();
            store.put_resolver("", "").await.unwrap();
            store.resolver("").await.unwrap();
            store.keep_resolvers(&[]).await.unwrap();
            store.close().await.unwrap();
            Store::join(&place.location).await.unwrap();
        });
        task.await.unwrap();
    }
}

#[test]
fn a_batch_that_comes_back_does_not_replace_what_is_newer_and_is_told_once() {
    let positions = Positions::new();
    positions.save(position("news", "video", 1));
    positions.save(position("news", "audio", 1));
    let batch = positions.take();
    positions.save(position("news", "video", 2));
    assert!(positions.failed(batch, "full".to_owned()));
    let batch = positions.take();
    let mut waiting: Vec<_> = batch
        .values()
        .map(|p| (p.track.as_str(), p.next_msn))
        .collect();
    waiting.sort_unstable();
    assert_eq!(waiting, [("audio", 1), ("video", 2)]);
    assert!(!positions.failed(batch, "full".to_owned()));
    assert!(positions.succeeded(2));
    assert!(!positions.succeeded(0));
}

fn import(content: &str) -> NewImport {
    NewImport {
        content: content.to_owned(),
        name: format!("name of {content}"),
        category: "tv".to_owned(),
        password: Some(Redacted::new("open sesame".to_owned())),
        nzb: vec![0x1f, 0x8b, 0, 255],
        state: "accepted",
    }
}

#[tokio::test]
async fn an_import_is_kept_once_and_its_number_is_never_used_again() {
    for place in every().await {
        let store = place.open().await;
        let (first, is_new) = store.accept_import(&import("a")).await.unwrap();
        assert!(is_new);
        let again = NewImport {
            name: "other".to_owned(),
            ..import("a")
        };
        assert_eq!(store.accept_import(&again).await.unwrap(), (first, false));
        let (second, _) = store.accept_import(&import("b")).await.unwrap();
        assert!(second > first);

        store.set_import_state(first, "failed", "{}").await.unwrap();
        store.rename_import(first, "film", "new").await.unwrap();
        store.touch_import(first, 7).await.unwrap();
        store.keep_import(first, true).await.unwrap();
        let kept = store.imports().await.unwrap();
        let [a, b] = &kept[..] else {
            panic!("{kept:?}")
        };
        assert_eq!(
            (&*a.state, &*a.detail, &*a.category, &*a.name),
            ("failed", "{}", "film", "new")
        );
        assert_eq!(a.password.as_ref().unwrap().expose(), "open sesame");
        assert_eq!((a.used_ms, a.is_kept), (7, true));
        assert_eq!((&*b.state, b.id, b.is_kept), ("accepted", second, false));
        assert_eq!(
            store.import_nzb(first).await.unwrap().unwrap(),
            import("a").nzb
        );

        assert_eq!(store.import_notes().await.unwrap(), []);
        store.set_import_notes(first, "a").await.unwrap();
        store.set_import_notes(second, "b").await.unwrap();
        let long = "x".repeat((1 << 20) + 1);
        assert!(store.set_import_notes(first, &long).await.is_err());
        let noted = |id, text: &str| (id, text.to_owned());
        assert_eq!(
            store.import_notes().await.unwrap(),
            [noted(first, "a"), noted(second, "b")]
        );

        assert!(store.delete_import(second).await.unwrap());
        assert_eq!(store.import_notes().await.unwrap(), [noted(first, "a")]);
        assert!(!store.delete_import(second).await.unwrap());
        assert_eq!(store.import_nzb(second).await.unwrap(), None);
        let (third, _) = store.accept_import(&import("b")).await.unwrap();
        assert!(third > second);
    }
}

#[tokio::test]
async fn equal_imports_that_come_at_once_are_one() {
    for place in every().await {
        let store = place.open().await;
        let submit = || async {
            let store = store.clone();
            store.accept_import(&import("same")).await.unwrap()
        };
        let all = tokio::join!(submit(), submit(), submit(), submit());
        let all = [all.0, all.1, all.2, all.3];
        assert_eq!(all.iter().filter(|(_, is_new)| *is_new).count(), 1);
        assert!(all.iter().all(|(id, _)| *id == all[0].0));
    }
}

#[tokio::test]
async fn imports_outlive_a_kill() {
    for place in persistent().await {
        let store = place.open().await;
        let (id, _) = store.accept_import(&import("a")).await.unwrap();
        drop(store);
        let store = place.open().await;
        let kept = store.imports().await.unwrap();
        assert_eq!((kept.len(), kept[0].id), (1, id));
    }
}
