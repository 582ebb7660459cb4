//! What waits for a connection: by lane, and within a lane each stream in its turn.

use std::collections::VecDeque;

use super::Job;
use crate::article::Lane;

/// A stream's number: whoever reads or imports.
pub(crate) type StreamId = u64;

#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: [VecDeque<(StreamId, VecDeque<Job>)>; Lane::ALL.len()],
}

impl Queue {
    pub(super) fn push(&mut self, lane: Lane, job: Job) {
        let streams = &mut self.lanes[lane as usize];
        match streams.iter_mut().find(|(stream, _)| *stream == job.stream) {
            Some((_, jobs)) => jobs.push_back(job),
            None => streams.push_back((job.stream, VecDeque::from([job]))),
        }
    }

    /// The next job of a lane; its stream goes to the end of the line.
    pub(super) fn pop(&mut self, lane: Lane) -> Option<Job> {
        let streams = &mut self.lanes[lane as usize];
        let (stream, mut jobs) = streams.pop_front()?;
        let job = jobs.pop_front();
        if !jobs.is_empty() {
            streams.push_back((stream, jobs));
        }
        job
    }

    /// Takes out the first job that `is_wanted`, of whatever lane.
    pub(super) fn take(&mut self, is_wanted: impl Fn(&Job) -> bool) -> Option<Job> {
        for streams in &mut self.lanes {
            for (_, jobs) in streams.iter_mut() {
                if let Some(at) = jobs.iter().position(&is_wanted) {
                    return jobs.remove(at);
                }
            }
        }
        None
    }

    pub(super) fn len(&self, lane: Lane) -> usize {
        let streams = &self.lanes[lane as usize];
        streams.iter().map(|(_, jobs)| jobs.len()).sum()
    }

    pub(super) fn drain(&mut self) -> Vec<Job> {
        let lanes = std::mem::take(&mut self.lanes);
        let streams = lanes.into_iter().flatten();
        streams.flat_map(|(_, jobs)| jobs).collect()
    }
}
