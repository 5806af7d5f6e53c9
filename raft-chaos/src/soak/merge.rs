//! Several ledgers as one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::ledger::{self, FILE, Line};
use super::{EntryName, Summary, kept_folder};
use crate::record::named;

/// Joins the ledgers of these folders into one in `out`, in the order of plan, store and seed, with the fastest failure of
/// each kind. A seed that is in several counts once, as the first of them has it.
///
/// # Errors
///
/// A folder has no ledger, or a file could not be read or written; `out` has a ledger already.
pub fn merge(folders: &[PathBuf], out: &Path) -> io::Result<Summary> {
    let mut lines: BTreeMap<(EntryName, u64), (&Path, Line)> = BTreeMap::new();
    for folder in folders {
        let path = folder.join(FILE);
        let named = |error: io::Error| named(&path, &error);
        for line in ledger::read(&path).map_err(named)?.0 {
            let name = EntryName::of_line(&line);
            lines.entry((name, line.seed)).or_insert((folder, line));
        }
    }
    fs::create_dir_all(out)?;
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
            copy(&kept_folder(folder, line), &kept_folder(out, line))?;
        }
    }
    summary.keep_fastest(|line| kept_folder(out, line));
    summary.look_for_lacks();
    summary.write(out)?;
    Ok(summary)
}

/// Copies a folder of files, where there is one: a failure of which nothing was kept has none.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    Ok(())
}
