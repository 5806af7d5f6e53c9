//! elle-cli, which has Elle and Knossos in it: a command, or a jar for which there is a Java.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use super::{Opinion, Outsider};
use crate::edn;
use crate::export::elle_json;
use crate::history::History;
use crate::plan::Kind;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judge {
    Elle,
    Knossos,
}

struct ElleCli {
    judge: Judge,
    /// The program, and what comes before its own arguments.
    command: Vec<OsString>,
}

/// elle-cli, if it is here.
pub(super) fn find(judge: Judge) -> Option<Box<dyn Outsider>> {
    let command = match env::var_os("ELLE_CLI").map(PathBuf::from) {
        Some(jar) if jar.extension().is_some_and(|extension| extension == "jar") => {
            in_path("java").filter(|_| jar.is_file())?;
            vec!["java".into(), "-jar".into(), jar.into_os_string()]
        }
        Some(program) => vec![program.is_file().then(|| program.into_os_string())?],
        None => vec![in_path("elle-cli")?.into_os_string()],
    };
    Some(Box::new(ElleCli { judge, command }))
}

fn in_path(program: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.is_file())
}

impl Outsider for ElleCli {
    fn name(&self) -> String {
        match self.judge {
            Judge::Elle => "Elle, by elle-cli".to_owned(),
            Judge::Knossos => "Knossos, by elle-cli".to_owned(),
        }
    }

    fn knows(&self, kind: Kind, history: &History) -> bool {
        let only = |names: &[&str]| history.events.iter().all(|event| names.contains(&event.f.name()));
        match self.judge {
            Judge::Elle => kind == Kind::ListAppend,
            Judge::Knossos => matches!(kind, Kind::Register | Kind::Kv) && only(&["read", "write", "cas"]),
        }
    }

    fn judge(&self, _kind: Kind, history: &History, limit: Duration) -> Opinion {
        self.ask(history, limit).unwrap_or_else(|error| Opinion::Unknown { why: error.to_string() })
    }
}

impl ElleCli {
    fn ask(&self, history: &History, limit: Duration) -> io::Result<Opinion> {
        let folder = tempfile::tempdir()?;
        let (model, files) = match self.judge {
            Judge::Elle => {
                let file = folder.path().join("history.json");
                fs::write(&file, elle_json(history).map_err(io::Error::other)?)?;
                (&["--model", "list-append", "--consistency-models", "strict-serializable"][..], vec![file])
            }
            Judge::Knossos => (&["--model", "cas-register"][..], key_by_key(history, folder.path())?),
        };
        let [program, before @ ..] = self.command.as_slice() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut command = Command::new(program);
        command.args(before).args(model).args(&files).stdin(Stdio::null()).stderr(Stdio::null());
        // To a file: a pipe that nobody empties would hold it up.
        let said = folder.path().join("said");
        let mut child = command.stdout(fs::File::create(&said)?).spawn()?;
        let (waited, pause) = (limit.as_millis() / 20, Duration::from_millis(20));
        for _ in 0..waited {
            if child.try_wait()?.is_some() {
                break;
            }
            thread::sleep(pause);
        }
        if child.try_wait()?.is_none() {
            child.kill()?;
            child.wait()?;
            return Ok(Opinion::Unknown { why: format!("it took longer than {limit:?}") });
        }
        Ok(read(&String::from_utf8_lossy(&fs::read(said)?), files.len()))
    }
}

/// A file for each key, as of a test of one register.
fn key_by_key(history: &History, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut keys: Vec<_> = history.events.iter().map(|event| event.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    let write = |(place, key): (usize, &&str)| {
        let file = folder.join(format!("{place}.edn"));
        fs::write(&file, edn::write(history, Some(key)))?;
        Ok(file)
    };
    keys.iter().enumerate().map(write).collect()
}

/// What it printed: a line a file, which ends with `true`, `false` or `:unknown`.
fn read(said: &str, files: usize) -> Opinion {
    let words: Vec<_> = said.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let count = |wanted: &[&str]| words.iter().filter(|word| wanted.contains(word)).count();
    let (good, bad) = (count(&["true"]), count(&["false"]));
    if bad > 0 {
        Opinion::Bad { why: format!("{bad} of {files} histories are not valid") }
    } else if good == files {
        Opinion::Good
    } else {
        Opinion::Unknown {
            why: format!("it called {good} of {files} histories valid, and said: {}", said.trim()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: what is printed of two files, and what that says.
    #[test]
    fn only_what_is_called_true_is_good() {
        for (said, good, bad) in [
            ("a.edn\ttrue\nb.edn\ttrue\n", true, false),
            ("a.edn\ttrue\nb.edn\tfalse\n", false, true),
            ("a.edn\ttrue\nb.edn\t:unknown\n", false, false),
            ("a.edn\ttrue\n", false, false),
            ("", false, false),
        ] {
            let opinion = read(said, 2);
            assert_eq!(opinion == Opinion::Good, good, "{said}");
            assert_eq!(matches!(opinion, Opinion::Bad { .. }), bad, "{said}");
        }
    }
}
