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
            for at in 0..streams.len() {
                let jobs = &mut streams[at].1;
                let Some(position) = jobs.iter().position(&is_wanted) else {
                    continue;
                };
                let job = jobs.remove(position);
                if jobs.is_empty() {
                    // A stream that stands in line has something to ask for.
                    streams.remove(at);
                }
                return job;
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

#[cfg(test)]
mod tests {
    use nzb::nntp::MessageId;
    use tokio::sync::oneshot;

    use super::*;
    use crate::article::Miss;
    use crate::pool::Ask;

    fn job(stream: StreamId, id: &str) -> Job {
        Job {
            ask: Ask::Stat(MessageId::new(id).unwrap(), oneshot::channel().0),
            stream,
            lane: Lane::Demand,
            tried: 0,
            breaks: 0,
            miss: Miss::Missing,
        }
    }

    fn order(queue: &mut Queue) -> String {
        let ids = std::iter::from_fn(|| Some(queue.pop(Lane::Demand)?.id().as_str().to_owned()));
        ids.collect()
    }

    #[test]
    fn streams_take_turns() {
        let mut queue = Queue::default();
        for (stream, id) in [(1, "a"), (1, "b"), (1, "c"), (2, "x"), (2, "y"), (3, "m")] {
            queue.push(Lane::Demand, job(stream, id));
        }
        assert_eq!(queue.len(Lane::Demand), 6);
        assert_eq!(order(&mut queue), "axmbyc");
    }

    #[test]
    fn a_stream_whose_last_job_is_taken_leaves_the_line() {
        let mut queue = Queue::default();
        queue.push(Lane::Demand, job(1, "a"));
        queue.push(Lane::Demand, job(2, "x"));
        assert!(queue.take(|job| job.id().as_str() == "a").is_some());
        assert!(queue.take(|job| job.id().as_str() == "a").is_none());
        assert_eq!(order(&mut queue), "x");
    }
}
