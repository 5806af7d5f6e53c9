//! One seed of a plan, in a process of its own: run, judge, write down.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::process::parent_id;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tempfile::TempDir;

use crate::data;
use crate::interrupt::{interrupt, interrupted};
use crate::lab;
use crate::memory::held_mb;
use crate::plan::{Mode, Plan};
use crate::process;
use crate::record;
use crate::report;
use crate::result::{RunResult, Stopped};
use crate::sim::{self, Fired, Options, Planted, Pulse, Ran, Telling};
use crate::told::Told;
use crate::verdict::{Footprint, Judgement, Verdict, judge_telling};

/// What there is of `result.json` while a search goes on, where something is wrong already.
pub(crate) const KNOWN: &str = "known.json";

/// What this process has to do.
#[derive(Clone, Debug)]
pub struct Seed {
    /// `plan.lock.toml`.
    pub lock: PathBuf,
    /// The seed.
    pub seed: u64,
    /// Where `result.json` goes, and the other files if `record` is set.
    pub folder: PathBuf,
    /// Whether `history.jsonl`, `events.jsonl` and `messages.jsonl` are written.
    pub record: bool,
    /// What fires instead of the plan's events and chaos: the `schedule.jsonl` of another run.
    pub schedule: Option<PathBuf>,
    /// Whether the story is told on standard output.
    pub story: bool,
    /// Whether standard output is for a process that draws a bar, and wants to know how the run stands.
    pub pulse: bool,
    /// What is told of it, and how long the run goes.
    pub telling: Telling,
    /// The bug that every node has on purpose.
    pub planted: Option<Planted>,
}

impl Seed {
    /// Runs the seed; returns the verdict that is in `result.json`.
    ///
    /// This process ends with the one that has started it. A panic of any task of any node ends it with 6, any other with 70;
    /// both are recorded.
    ///
    /// # Errors
    ///
    /// A file could not be read or written.
    pub fn run(self) -> io::Result<Verdict> {
        let began = Instant::now();
        // Nobody else would come back for what it does.
        process::end_with(parent_id())?;
        // What runs is to end in order, with what is known.
        ctrlc::set_handler(interrupt).map_err(io::Error::other)?;
        let plan = Plan::read(&self.lock, &[]).map_err(io::Error::other)?;
        let scratch = Scratch::of(&self)?;
        let file = |name: &str| self.record.then(|| Record::create(&self.folder.join(name))).transpose();
        let (events, messages) = (file("events.jsonl")?, file("messages.jsonl")?);
        let (history, schedule) = (file("history.jsonl")?, file("schedule.jsonl")?);
        let records = [&events, &messages, &history, &schedule].into_iter().flatten().cloned().collect();
        record_panics(self.folder.clone(), records);
        let boxed = |record| Box::new(record) as Box<dyn Write + Send>;
        let options = Options {
            scratch: scratch.path.clone(),
            events: events.map(boxed),
            messages: messages.map(boxed),
            history: history.map(boxed),
            schedule: schedule.map(boxed),
            script: self.schedule.as_deref().map(read_schedule).transpose()?,
            listener: self.listener(),
            watcher: self
                .pulse
                .then(|| Box::new(|pulse: &Pulse| Told::Pulse(pulse.clone()).tell()) as sim::Watcher),
            telling: self.telling,
            planted: self.planted,
        };
        let (ran, judged) = self.play(&plan, options)?;
        if self.record {
            let mut witness = BufWriter::new(File::create(self.folder.join("witness.jsonl"))?);
            for took_effect in &ran.witness {
                writeln!(witness, "{}", serde_json::to_string(took_effect)?)?;
            }
            witness.flush()?;
        }
        let footprint = Footprint {
            rss_mb: held_mb("self", "VmHWM").unwrap_or(0),
            disk_mb: size_of(&scratch.path)? >> 20,
        };
        let mut judgement = match judged {
            Some(judgement) => judgement,
            None => self.judge(&plan, &ran, footprint, began)?,
        };
        let stopped = interrupted().then_some(Stopped::Interrupt);
        if stopped.is_some() {
            judgement.is_of_an_interrupted_run();
        }
        let wall_s = began.elapsed().as_secs_f64();
        let result = RunResult::new(&plan, self.seed, &ran, judgement, footprint, wall_s);
        let result = RunResult { stopped, ..result };
        self.write("result.json", &result)?;
        let records = ["events.jsonl", "messages.jsonl"].map(|name| self.folder.join(name));
        // Those that were written.
        records.iter().filter(|path| path.exists()).try_for_each(|path| record::compress_if_large(path))?;
        let is_kept = plan.run.mode != Mode::Process || plan.process.keep_data_on_failure;
        if matches!(result.verdict, Verdict::Pass | Verdict::Interrupted) || !is_kept {
            scratch.remove()?;
        }
        Ok(result.verdict)
    }

    /// Runs it, in the world that the plan says; a test of the lab is judged by itself.
    fn play(&self, plan: &Plan, options: Options) -> io::Result<(Ran, Option<Judgement>)> {
        match (plan.workload.test, plan.run.mode) {
            (Some(test), _) => {
                let (ran, judgement) = lab::judged(test, self.seed, options)?;
                Ok((ran, Some(judgement)))
            }
            // A plan of both is run in each by itself.
            (None, Mode::Sim | Mode::Both) => Ok((sim::run(plan, self.seed, options)?, None)),
            (None, Mode::Process) => {
                Ok((process::run(plan, self.seed, options, &self.lock, &self.folder)?, None))
            }
        }
    }

    /// What is to be said of the run. What is wrong in any case is written down before it is known how wrong it is.
    fn judge(&self, plan: &Plan, ran: &Ran, footprint: Footprint, began: Instant) -> io::Result<Judgement> {
        let (data, mut written) = (data::of(&plan.workload), Ok(()));
        let mut write = |known| {
            let wall_s = began.elapsed().as_secs_f64();
            written = self.write(KNOWN, &RunResult::new(plan, self.seed, ran, known, footprint, wall_s));
        };
        let judgement = judge_telling(plan, &*data, ran, footprint, &mut || began.elapsed(), &mut write);
        written.map(|()| judgement)
    }

    fn write(&self, name: &str, result: &RunResult) -> io::Result<()> {
        fs::write(self.folder.join(name), serde_json::to_vec_pretty(result)?)
    }

    /// Who tells the story, if it is told.
    fn listener(&self) -> Option<sim::Listener> {
        match (self.story, self.pulse) {
            (false, _) => None,
            (true, false) => Some(Box::new(report::story)),
            (true, true) => {
                Some(Box::new(|seconds: f64, line: &str| Told::Story(seconds, line.to_owned()).tell()))
            }
        }
    }
}

fn read_schedule(path: &Path) -> io::Result<Vec<Fired>> {
    record::lines(path)?.ok_or_else(|| record::missing(path))
}

/// Where the nodes have their directories. Those of a recorded run that does not pass stay in its folder.
struct Scratch {
    path: PathBuf,
    /// Removes it, where nothing of it is to be kept.
    temporary: Option<TempDir>,
}

impl Scratch {
    fn of(seed: &Seed) -> io::Result<Self> {
        if seed.record {
            let path = seed.folder.join(process::NODES);
            fs::create_dir_all(&path)?;
            return Ok(Self { path, temporary: None });
        }
        // Whoever has made the folder removes it, also after this process was killed.
        let temporary = tempfile::tempdir_in(&seed.folder)?;
        Ok(Self { path: temporary.path().to_owned(), temporary: Some(temporary) })
    }

    fn remove(self) -> io::Result<()> {
        match self.temporary {
            Some(temporary) => temporary.close(),
            None => fs::remove_dir_all(self.path),
        }
    }
}

/// A file that is written as the run goes on. Clones write to the same file, so that what is buffered can
/// still be written when something panics.
#[derive(Clone)]
struct Record(Arc<Mutex<BufWriter<File>>>);

impl Record {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(BufWriter::new(File::create(path)?)))))
    }

    /// Writes what is buffered, unless it is this file's own writing that panicked.
    fn rescue(&mut self) {
        if let Ok(mut file) = self.0.try_lock() {
            // There is nobody left to tell that it cannot be written.
            drop(file.flush());
        }
    }

    fn file(&self) -> MutexGuard<'_, BufWriter<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Record {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

/// tokio catches a panic and drops it with its task; here it is written down and ends the process.
fn record_panics(folder: PathBuf, records: Vec<Record>) {
    let usual = panic::take_hook();
    let records = Mutex::new(records);
    panic::set_hook(Box::new(move |panic| {
        usual(panic);
        if let Ok(mut records) = records.try_lock() {
            records.iter_mut().for_each(Record::rescue);
        }
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        let place = panic
            .location()
            .map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
        let (verdict, who) = if sim::NODES_RUN.load(Ordering::Relaxed) {
            (Verdict::Crash, "a task of a node")
        } else {
            (Verdict::Bug, "raft-chaos")
        };
        let reason = format!("{who} panicked{place}: {text}");
        // There is nothing left to do about a file that cannot be written now.
        drop(fs::write(folder.join("panic.txt"), reason));
        std::process::exit(verdict.exit_code().into());
    }));
}

fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
