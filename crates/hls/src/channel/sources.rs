//! The list of sources becomes another one while the channel runs. What stays of it keeps its health and its
//! sessions, wherever it stands now; what goes is left as a source that failed.

use super::health::Source;
use super::{Channel, SourceDef};

impl SourceDef {
    /// For each source of `new` its place in `old`: by its link, or else as the same source under another
    /// link. No two have the same place, and none keeps its own on another account.
    pub fn places(old: &[Self], new: &[Self]) -> Vec<Option<usize>> {
        let mut places = vec![None; new.len()];
        let by_url: fn(&Self, &Self) -> bool = |a, b| a.url == b.url;
        let by_identity: fn(&Self, &Self) -> bool = |a, b| a.identity == b.identity;
        for same in [by_url, by_identity] {
            for (at, def) in new.iter().enumerate() {
                let known = |place: &usize| {
                    let known = &old[*place];
                    same(known, def)
                        && known.account == def.account
                        && !places.contains(&Some(*place))
                };
                if places[at].is_none() {
                    places[at] = (0..old.len()).find(known);
                }
            }
        }
        places
    }
}

impl Channel {
    pub(super) fn set_sources(&mut self, defs: Vec<SourceDef>) {
        let old: Vec<SourceDef> = self.sources.iter().map(|s| s.def.clone()).collect();
        let places = SourceDef::places(&old, &defs);
        let moved = |of: usize| places.iter().position(|place| *place == Some(of));
        let mut known: Vec<_> = self.sources.drain(..).map(Some).collect();
        let sources = defs.into_iter().zip(&places).map(|(def, place)| {
            match place.and_then(|place| known[place].take()) {
                Some(mut source) => {
                    source.def = def;
                    source
                }
                None => Source::new(def),
            }
        });
        self.sources = sources.collect();
        let published = std::mem::take(&mut self.published).into_iter();
        let published =
            published.filter_map(|((of, track), newest)| Some(((moved(of)?, track), newest)));
        self.published = published.collect();
        self.end_scouts();
        match self.current.as_ref().map(|current| moved(current.source)) {
            Some(None) => drop(self.end_current()),
            Some(Some(at)) => self
                .current
                .iter_mut()
                .for_each(|current| current.source = at),
            None => {}
        }
        for next in (0..self.nexts.len()).rev() {
            match moved(self.nexts[next].session.source) {
                Some(at) => self.nexts[next].session.source = at,
                None => drop(self.let_go(next)),
            }
        }
    }
}
