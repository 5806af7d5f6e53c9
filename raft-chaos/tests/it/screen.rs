//! A terminal of 80 columns, and the tool on it.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::tool::Tool;

/// What is a terminal; what is not goes to a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
    Out,
    Err,
}

/// What a call on a terminal gave.
pub(crate) struct Screen {
    pub(crate) code: i32,
    /// All that was written to the terminal, as it was.
    pub(crate) shown: String,
    /// What went elsewhere.
    pub(crate) other: String,
}

impl Screen {
    pub(crate) fn of(
        tool: &Tool,
        arguments: &[&str],
        terminal: Terminal,
        variables: &[(&str, &str)],
    ) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        tcsetwinsize(&slave, size).unwrap();
        let path = tool.path("other");
        let (screen, other) = (Stdio::from(slave), Stdio::from(File::create(&path).unwrap()));
        let (out, err) = if terminal == Terminal::Out { (screen, other) } else { (other, screen) };
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft-chaos"));
        command.args(arguments).env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
        let mut child =
            command.current_dir(tool.path("")).stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
        // The terminal ends when nobody has it any more, this process included.
        drop(command);
        let shown = read_to_end(master);
        let code = child.wait().unwrap().code().unwrap_or(-1);
        Self { code, shown, other: fs::read_to_string(path).unwrap() }
    }

    /// The lines that could be seen on the terminal, those included that were written over.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut text = String::new();
        let mut rest = self.shown.chars();
        while let Some(c) = rest.next() {
            // ESC [ and what follows up to a letter is for the terminal.
            if c == '\x1b' {
                let _letter = rest.by_ref().skip(1).find(char::is_ascii_alphabetic);
            } else {
                text.push(c);
            }
        }
        let lines = text.split(['\r', '\n']).map(|line| line.trim_end().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    }
}

/// A terminal that nobody has any more ends with an error.
fn read_to_end(master: OwnedFd) -> String {
    let (mut master, mut bytes, mut buffer) = (File::from(master), Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(bytes).unwrap()
}
