//! One connection to a provider, from its greeting to its end (RFC 3977, RFC 4643).
//!
//! Commands are sent as they come, without waiting for answers; answers come in the order of the commands
//! (RFC 3977 §3.5). What arrives is decoded at once, into the article that it belongs to.

mod intake;
mod open;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use nzb::nntp::{Command, Meaning, Status, StatusReader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, MissedTickBehavior};

pub(crate) use open::{Wire, date, open, quit};

use self::intake::Intake;
use crate::ProviderSettings;
use crate::pool::{Answer, Ask, Job, Pool, Refusal};

/// Bytes taken from the socket at once.
const READ_BYTES: usize = 128 << 10;
/// Without a byte for this long while an answer is due, a connection is given up.
const STALL: Duration = Duration::from_secs(10);
/// Servers close connections that say nothing for some minutes.
const AWAKE: Duration = Duration::from_secs(50);
const TICK: Duration = Duration::from_secs(1);

/// Whom a connection answers to.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) at: usize,
    pub(crate) slot: u64,
}

/// The end of a connection.
#[derive(Debug)]
pub(crate) struct Lost {
    /// `None` if it was not needed any more.
    pub(crate) why: Option<Refusal>,
    /// It was silent for too long.
    pub(crate) is_stall: bool,
    /// What had no answer, in order.
    pub(crate) jobs: Vec<Job>,
}

/// A command whose answer is due.
struct Flight {
    /// `None` for DATE.
    job: Option<Job>,
    sent: Instant,
    /// Nothing was on its way when it was sent: its answer measures a round trip.
    is_alone: bool,
    intake: Option<Box<Intake>>,
    answered: Option<Instant>,
}

struct Connection<'a> {
    line: &'a Line<'a>,
    host: &'a str,
    flights: VecDeque<Flight>,
    status: StatusReader,
    heard: Instant,
    out: Vec<u8>,
    received: u64,
}

/// Serves jobs until the connection ends or is not needed.
pub(crate) async fn run(
    mut wire: Wire,
    settings: &ProviderSettings,
    mut jobs: UnboundedReceiver<Job>,
    line: &Line<'_>,
) -> Lost {
    let mut connection = Connection {
        line,
        host: &settings.host,
        flights: VecDeque::new(),
        status: StatusReader::default(),
        heard: Instant::now(),
        out: Vec::new(),
        received: 0,
    };
    let why = connection.serve(&mut wire, &mut jobs).await;
    // Servers close what idles: that is no failure.
    let is_idle = connection.flights.is_empty();
    let why = why.filter(|why| !is_idle || matches!(why, Refusal::Limit(_)));
    let is_stall = !connection.flights.is_empty() && connection.heard.elapsed() > STALL;
    jobs.close();
    let flights = connection.flights.into_iter();
    let mut left: Vec<Job> = flights.filter_map(|flight| flight.job).collect();
    while let Ok(job) = jobs.try_recv() {
        left.push(job);
    }
    if why.is_none() {
        quit(wire).await;
    }
    Lost {
        why,
        is_stall,
        jobs: left,
    }
}

impl Connection<'_> {
    async fn serve(
        &mut self,
        wire: &mut Wire,
        jobs: &mut UnboundedReceiver<Job>,
    ) -> Option<Refusal> {
        let mut buffer = vec![0; READ_BYTES];
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                job = jobs.recv() => {
                    self.send(job?);
                    while let Ok(job) = jobs.try_recv() {
                        self.send(job);
                    }
                    if let Err(error) = self.flush(wire).await {
                        return Some(self.broken(&error));
                    }
                }
                read = wire.read(&mut buffer) => match read {
                    Ok(0) => return Some(self.broken(&io::ErrorKind::ConnectionReset.into())),
                    Ok(len) => {
                        self.heard = Instant::now();
                        if let Err(refusal) = self.take(&buffer[..len]) {
                            return Some(refusal);
                        }
                    }
                    Err(error) => return Some(self.broken(&error)),
                },
                _ = tick.tick() => {
                    if let Err(end) = self.tick() {
                        return end;
                    }
                    if let Err(error) = self.flush(wire).await {
                        return Some(self.broken(&error));
                    }
                }
            }
        }
    }

    fn send(&mut self, job: Job) {
        match &job.ask {
            Ask::Body(article) => Command::Body(&article.id).render(&mut self.out),
            Ask::Stat(id, _) => Command::Stat(id).render(&mut self.out),
        }
        self.depart(Some(job));
    }

    fn depart(&mut self, job: Option<Job>) {
        let now = Instant::now();
        if self.flights.is_empty() {
            self.heard = now;
        }
        self.flights.push_back(Flight {
            is_alone: self.flights.is_empty(),
            job,
            sent: now,
            intake: None,
            answered: None,
        });
    }

    async fn flush(&mut self, wire: &mut Wire) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let write = async {
            wire.write_all(&self.out).await?;
            wire.flush().await
        };
        tokio::time::timeout(STALL, write)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.out.clear();
        Ok(())
    }

    /// Once a second: gives up on what stalls, keeps awake what idles, ends what is not needed.
    fn tick(&mut self) -> Result<(), Option<Refusal>> {
        let silent = self.heard.elapsed();
        if !self.flights.is_empty() {
            return if silent > STALL {
                let text = format!("no answer for {} s", STALL.as_secs());
                Err(Some(Refusal::Broken(text)))
            } else {
                Ok(())
            };
        }
        if silent < AWAKE {
            return Ok(());
        }
        if !self.line.pool.may_stay(self.line.at, self.line.slot) {
            return Err(None);
        }
        Command::Date.render(&mut self.out);
        self.depart(None);
        Ok(())
    }

    /// Takes what arrived: answers, one after another.
    fn take(&mut self, mut input: &[u8]) -> Result<(), Refusal> {
        self.received += input.len() as u64;
        while !input.is_empty() {
            let Some(flight) = self.flights.front_mut() else {
                return Err(self.unasked(input));
            };
            let taken = if let Some(intake) = &mut flight.intake {
                let (taken, is_done) = intake.take(input);
                if is_done {
                    self.body_ended();
                }
                taken
            } else {
                let (taken, status) = self
                    .status
                    .push(input)
                    .map_err(|bad| Refusal::Broken(bad.to_string()))?;
                if let Some(status) = status {
                    self.answer(&status)?;
                }
                taken
            };
            input = &input[taken..];
        }
        Ok(())
    }

    fn answer(&mut self, status: &Status) -> Result<(), Refusal> {
        let Some(mut flight) = self.flights.pop_front() else {
            return Ok(());
        };
        let now = Instant::now();
        let Some(job) = flight.job.take() else {
            return Ok(());
        };
        if flight.is_alone {
            let round_trip = Some(now - flight.sent);
            (self.line.pool).measured(self.line.at, round_trip, Duration::ZERO, 0);
        }
        match (status.meaning(), &job.ask) {
            (Meaning::Done, Ask::Body(article)) if status.code == 222 => {
                if names_another(&status.text, job.id().as_str()) {
                    self.flights.push_front(Flight {
                        job: Some(job),
                        ..flight
                    });
                    return Err(Refusal::Broken("answers out of turn".to_owned()));
                }
                flight.intake = Some(Box::new(Intake::new(article.clone())));
                flight.answered = Some(now);
                self.flights.push_front(Flight {
                    job: Some(job),
                    ..flight
                });
            }
            (Meaning::Done, Ask::Stat(..)) if status.code == 223 => self.tell(job, Answer::Done),
            (Meaning::NoArticle, _) => self.tell(job, Answer::NoArticle),
            (meaning, _) => {
                self.flights.push_front(Flight {
                    job: Some(job),
                    ..flight
                });
                return Err(refusal(meaning, status));
            }
        }
        Ok(())
    }

    fn body_ended(&mut self) {
        let Some(mut flight) = self.flights.pop_front() else {
            return;
        };
        let (Some(job), Some(intake)) = (flight.job.take(), flight.intake.take()) else {
            return;
        };
        let bytes = std::mem::take(&mut self.received);
        let transfer = flight.answered.map_or(Duration::ZERO, |at| at.elapsed());
        self.line.pool.measured(self.line.at, None, transfer, bytes);
        let answer = match intake.finish() {
            Ok(()) => Answer::Done,
            Err(what) => {
                tracing::debug!(article = %job.id(), %what, "article is damaged");
                Answer::Damaged(what)
            }
        };
        self.tell(job, answer);
    }

    fn tell(&self, job: Job, answer: Answer) {
        (self.line.pool).answered(self.line.at, self.line.slot, job, answer);
    }

    /// Servers say goodbye unasked: 400, 503, or 205 and its kin.
    fn unasked(&mut self, input: &[u8]) -> Refusal {
        match self.status.push(input) {
            Ok((_, Some(status))) => refusal(status.meaning(), &status),
            Ok((_, None)) | Err(_) => Refusal::Broken("answers that nobody asked for".to_owned()),
        }
    }

    fn broken(&self, error: &io::Error) -> Refusal {
        Refusal::Broken(match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                "connection closed".to_owned()
            }
            _ => format!("{}: {error}", self.host),
        })
    }
}

fn refusal(meaning: Meaning, status: &Status) -> Refusal {
    let text = format!("{} {}", status.code, status.text);
    match meaning {
        Meaning::TooManyConnections { limit } => Refusal::Limit(limit),
        Meaning::Denied => Refusal::Denied(text),
        Meaning::Unavailable => Refusal::Unavailable(text),
        _ => Refusal::Broken(text),
    }
}

/// Whether a status line names an article that is not the one asked for: `222 0 <id>`.
fn names_another(text: &str, id: &str) -> bool {
    let named = text
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    named.is_some_and(|(named, _)| named != id)
}
