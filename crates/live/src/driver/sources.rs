//! Another list of sources while the channel runs.

use std::sync::Arc;

use hls::channel::{Event, SourceDef};

use super::{Driver, def};
use crate::links::Fresh;
use crate::spec::SourceSpec;

impl Driver {
    /// Moves all that is known by a source's place to the place where it stands now.
    pub(super) fn take_sources(&mut self, sources: Vec<SourceSpec>) {
        let old: Vec<SourceDef> = self.sources.iter().map(def).collect();
        let mut defs: Vec<SourceDef> = sources.iter().map(def).collect();
        let places = SourceDef::places(&old, &defs);
        let moved = |of: usize| places.iter().position(|place| *place == Some(of));
        self.links.reorder(&places);
        let settings = self.channel.shared.settings();
        let mut upstreams = Vec::with_capacity(sources.len());
        for (index, (source, place)) in sources.iter().zip(&places).enumerate() {
            let known = place.map(|at| (&self.sources[at], &self.upstreams[at]));
            upstreams.push(match known {
                Some((same, upstream)) if same == source => upstream.clone(),
                Some((_, upstream)) => {
                    let described = upstream.described(source, &settings.user_agent);
                    let link = self.links.known(index);
                    Arc::new(match link {
                        Some(Fresh { link, voucher, .. }) => {
                            described.relinked(source, &link, voucher)
                        }
                        None => described,
                    })
                }
                None => {
                    let resolvers = &self.channel.shared.resolvers;
                    self.links.set(index, source, resolvers);
                    Arc::new(self.upstream(source, None))
                }
            });
            // As the machine knows it: an entry by its newest link.
            let machine = place.and_then(|at| self.machine.health().nth(at));
            if let Some((known, _)) = machine.filter(|_| !source.is_direct()) {
                defs[index] = known.clone();
            }
        }
        self.upstreams = upstreams;
        // The stream of one that goes is given back with the last of its fetches.
        let slots = std::mem::take(&mut self.slots).into_iter();
        let slots = slots.filter_map(|(generation, of)| Some((generation, moved(of)?)));
        self.slots = slots.collect();
        self.errors.retain_mut(|note| {
            let place = moved(note.source);
            note.source = place.unwrap_or(note.source);
            place.is_some()
        });
        self.by_hand = self.by_hand.and_then(moved);
        self.was_on_air = self.was_on_air.and_then(moved);
        self.sources = sources;
        self.step(Event::Sources(defs));
        self.relink();
    }
}
