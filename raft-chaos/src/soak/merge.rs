//! Several ledgers as one: of soaks, or of runs of many seeds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::ledger::{self, FILE, Line};
use super::{EntryName, Summary, kept_folder};
use crate::record::named;
use crate::runner::make_folder;

/// Joins the ledgers of these folders into one in `out`, in the order of plan, store and seed, with the fastest failure of
/// each kind. A seed that is in several counts once, as the first of them has it.
///
/// # Errors
///
/// `NotFound` where a folder has no ledger, `InvalidData` where that is none, `AlreadyExists` where `out` has one; or a file could
/// not be read or written.
pub fn merge(folders: &[PathBuf], out: &Path) -> io::Result<Summary> {
    let mut lines: BTreeMap<(EntryName, u64), (&Path, Line)> = BTreeMap::new();
    for folder in folders {
        let path = folder.join(FILE);
        for line in ledger::read(&path).map_err(|error| unread(&path, error))?.0 {
            let name = EntryName::of_line(&line);
            lines.entry((name, line.seed)).or_insert((folder, line));
        }
    }
    make_folder(out)?;
    let mut text = Vec::new();
    let mut summary = Summary::default();
    for (_, line) in lines.values() {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
        summary.add(line);
    }
    let mut file = fs::File::create_new(out.join(FILE)).map_err(|error| named(&out.join(FILE), &error))?;
    io::Write::write_all(&mut file, &text)?;
    for (_, found) in summary.failures() {
        let line = &found.fastest;
        if let Some((folder, _)) = lines.get(&(EntryName::of_line(line), line.seed)) {
            let of_run = folder.join(format!("seed-{}", line.seed));
            let kept = [kept_folder(folder, line), of_run].into_iter().find(|kept| kept.is_dir());
            kept.map_or(Ok(()), |kept| copy(&kept, &kept_folder(out, line)))?;
        }
    }
    summary.keep_fastest(|line| kept_folder(out, line));
    summary.look_for_lacks();
    summary.write(out)?;
    Ok(summary)
}

/// Why a ledger could not be read, and the cure where there is none.
fn unread(path: &Path, error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::InvalidData {
        // It is named by its line.
        return error;
    }
    if error.kind() == io::ErrorKind::NotFound {
        let cure = "there is none; name the folder of a soak, or of a run of many seeds";
        return named(path, &io::Error::new(error.kind(), cure));
    }
    named(path, &error)
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    Ok(())
}
