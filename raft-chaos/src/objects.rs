//! What runs and soaks leave of each seed: a file with one object, or with an object a line.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Reads the file at `path`, or, where that is a folder, the first of these names that is in there; a folder without any of
/// them `lacks` something, in words. Returns the file, and what `parse` makes of each object.
///
/// # Errors
///
/// It is not there or cannot be read, or an object is none: with the file and the line.
pub(crate) fn read<T>(
    path: &Path,
    (names, lacks): (&[&str], &str),
    parse: impl Fn(&str) -> Result<T, String>,
) -> io::Result<(PathBuf, Vec<T>)> {
    let file = file_of(path, names).ok_or_else(|| at(path.display(), lacks))?;
    let text = fs::read_to_string(&file).map_err(|error| at(file.display(), &error))?;
    let is_one = file.extension().is_some_and(|extension| extension == "json");
    let lines: Vec<_> = if is_one { vec![text.as_str()] } else { text.lines().collect() };
    let object = |(place, line): (usize, &str)| {
        let place = if is_one { String::new() } else { format!(":{}", place + 1) };
        parse(line).map_err(|why| at(format!("{}{place}", file.display()), &why))
    };
    let objects = lines.into_iter().enumerate().map(object).collect::<io::Result<_>>()?;
    Ok((file, objects))
}

fn file_of(path: &Path, names: &[&str]) -> Option<PathBuf> {
    if !path.is_dir() {
        return Some(path.to_owned());
    }
    names.iter().map(|name| path.join(name)).find(|file| file.exists())
}

/// What is wrong, and where.
pub(crate) fn at(place: impl Display, why: &(impl Display + ?Sized)) -> io::Error {
    io::Error::other(format!("{place}: {why}"))
}
