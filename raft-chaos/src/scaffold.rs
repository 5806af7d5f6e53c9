//! `plan new`: a plan to begin with.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::plan::Plan;

const SCAFFOLD: &str = include_str!("scaffold.toml");

/// A plan of this name that can be run, with comments.
pub fn scaffold(name: &str) -> String {
    SCAFFOLD.replacen("\"NAME\"", &format!("{name:?}"), 1)
}

/// Why no plan was written.
#[derive(Debug)]
pub enum NotWritten {
    /// What the file is called names no plan.
    NoName(String),
    /// The file exists, or cannot be written.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for NotWritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoName(name) => {
                write!(f, "{name:?} names no plan; write 1 to 64 of a to z, 0 to 9 and -, not - first")
            }
            Self::Io(path, error) if error.kind() == io::ErrorKind::AlreadyExists => {
                write!(f, "{} exists already, and stays as it is; write another name", path.display())
            }
            Self::Io(path, error) => write!(f, "{} cannot be written: {error}", path.display()),
        }
    }
}

impl std::error::Error for NotWritten {}

/// Writes a plan that is named as its file, with `.toml` where that is not written, and gives the path. No file is
/// overwritten.
///
/// # Errors
///
/// The name names no plan, or the file exists or cannot be written.
pub fn write(path: &Path) -> Result<PathBuf, NotWritten> {
    let path = if path.extension().is_none() { path.with_extension("toml") } else { path.to_owned() };
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = scaffold(&name);
    if Plan::parse(&text, &path.display().to_string(), &[]).is_err() {
        return Err(NotWritten::NoName(name));
    }
    let refused = |error| NotWritten::Io(path.clone(), error);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(refused)?;
    file.write_all(text.as_bytes()).map_err(refused)?;
    Ok(path)
}
