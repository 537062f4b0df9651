//! The files of a log: which there are, and which are to be read.

use std::io;
use std::path::{Path, PathBuf};

use vfs::{File, Vfs};

use crate::decision::{FileSeen, FileVerdict, HeaderSeen, STRAY_BYTES_MAX, judge_file};
use crate::format::{
    END_MARK, FORMAT_VERSION, PREPARING_SUFFIX, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES,
    SegmentHeader, segment_number,
};
use crate::oldest::OLDEST_NEW_NAME;
use crate::recovery::{Examination, ExamineError, damaged};
use crate::segment::reader::{Reader, is_zeros};
use crate::{Identity, Why};

/// Bytes that are looked at at once.
const LOOK_BYTES: usize = 64 << 10;

/// One segment file and what its first sector says.
pub(super) struct SegmentFile {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn File>,
    len: u64,
    pub(super) header: Result<(SegmentHeader, u32), HeaderSeen>,
}

pub(super) fn list_files(
    vfs: &dyn Vfs,
    dir: &Path,
    examination: &mut Examination,
) -> Result<Vec<SegmentFile>, ExamineError> {
    let io = |operation, path: &Path| {
        let path = path.to_path_buf();
        move |source| ExamineError::Io {
            operation,
            path,
            source,
        }
    };
    let mut files = Vec::new();
    for name in vfs.list(dir).map_err(io("list", dir))? {
        let path = dir.join(&name);
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(PREPARING_SUFFIX) || name == OLDEST_NEW_NAME {
            examination.discards.push(path);
        } else if let Some(number) = segment_number(name) {
            let file = vfs.open_read(&path).map_err(io("open", &path))?;
            let len = file.len().map_err(io("stat", &path))?;
            let header = read_header(file.as_ref()).map_err(io("read", &path))?;
            examination.files.push(number);
            files.push(SegmentFile {
                number,
                path,
                file,
                len,
                header,
            });
        }
    }
    Ok(files)
}

/// Reads the first sector of a segment.
fn read_header(file: &dyn File) -> io::Result<Result<(SegmentHeader, u32), HeaderSeen>> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    if file.read_full_at(0, &mut bytes)? < bytes.len() {
        return Ok(Err(HeaderSeen::Short));
    }
    Ok(match SegmentHeader::decode(&bytes) {
        Some(decoded) => Ok(decoded),
        None if is_zeros(&bytes) => Err(HeaderSeen::Zeros),
        None if bytes[bytes.len() - 1] == 0 => Err(HeaderSeen::Partial),
        None => Err(HeaderSeen::Garbage),
    })
}

/// Judges every file that the log still needs, and returns those in use, in order.
pub(super) fn judge_files<'a>(
    files: &'a [SegmentFile],
    identity: Identity,
    spare_bytes: Option<u64>,
    examination: &mut Examination,
) -> Result<Vec<&'a SegmentFile>, ExamineError> {
    let last_intact = files
        .iter()
        .filter(|file| file.header.is_ok())
        .map(|file| file.number)
        .max();
    let oldest = examination.oldest;
    let mut in_use: Vec<&SegmentFile> = Vec::new();
    let mut expected = oldest;
    let mut is_discarding = false;
    for file in files {
        let seen =
            observe_file(file, identity, spare_bytes, last_intact, oldest).map_err(|source| {
                ExamineError::Io {
                    operation: "read",
                    path: file.path.clone(),
                    source,
                }
            })?;
        if !seen.is_obsolete && file.number != expected {
            return Err(damaged(expected, 0, Why::Missing));
        }
        expected = expected.max(file.number.saturating_add(1));
        match judge_file(seen) {
            FileVerdict::Obsolete => examination.obsolete.push((file.number, file.len)),
            FileVerdict::InUse => in_use.push(file),
            // Spares are used in order: one behind a file that is discarded would never be.
            FileVerdict::Spare if is_discarding => examination.discards.push(file.path.clone()),
            FileVerdict::Spare => examination.spares.push((file.number, file.len)),
            FileVerdict::Discard => {
                is_discarding = true;
                examination.discards.push(file.path.clone());
            }
            FileVerdict::DiscardRotten => {
                is_discarding = true;
                examination.rotten_spares.push(file.number);
                examination.discards.push(file.path.clone());
            }
            FileVerdict::Newer => {
                let version = file.header.as_ref().map_or(0, |(header, _)| header.version);
                return Err(ExamineError::Newer {
                    segment: file.number,
                    version,
                });
            }
            FileVerdict::Damaged(why) => return Err(damaged(file.number, 0, why)),
        }
    }
    Ok(in_use)
}

/// The oldest segment that is needed: as the newest header says, or as `OLDEST` has `said` since.
pub(super) fn oldest_needed(files: &[SegmentFile], said: Option<u64>) -> u64 {
    let newest = files.iter().rev().find_map(|file| {
        let (header, _) = file.header.as_ref().ok()?;
        Some(header.oldest.max(said.unwrap_or(0)).min(file.number))
    });
    newest.unwrap_or(1)
}

fn observe_file(
    file: &SegmentFile,
    identity: Identity,
    spare_bytes: Option<u64>,
    last_intact: Option<u64>,
    oldest: u64,
) -> io::Result<FileSeen> {
    let is_obsolete = file.number < oldest;
    let header = match &file.header {
        Ok((header, _)) if header.version > FORMAT_VERSION => HeaderSeen::Newer,
        Ok((header, _)) if header.identity != identity => HeaderSeen::Foreign,
        Ok((header, _)) if header.segment != file.number => HeaderSeen::Misplaced,
        Ok(_) => HeaderSeen::Own,
        Err(seen) => *seen,
    };
    let length_is_right = match &file.header {
        Ok((header, _)) => header.segment_bytes == file.len && file.len <= SEGMENT_BYTES_MAX,
        Err(_) => spare_bytes.is_none_or(|bytes| bytes == file.len),
    };
    let is_followed = last_intact.is_some_and(|last| last > file.number);
    let may_be_spare = !is_obsolete && file.header.is_err();
    let rest_is_zeros = !may_be_spare || rest_is_zeros(file)?;
    let is_blank = header == HeaderSeen::Zeros && rest_is_zeros;
    let is_nearly_zeros = may_be_spare && (is_blank || is_nearly_zeros(file)?);
    Ok(FileSeen {
        header,
        length_is_right,
        rest_is_zeros,
        is_nearly_zeros,
        is_followed,
        is_obsolete,
    })
}

fn rest_is_zeros(file: &SegmentFile) -> io::Result<bool> {
    let mut reader = Reader::new(file.file.as_ref(), 0, 0, file.len);
    Ok(reader.content_end()? == reader.offset())
}

/// Whether a file is zeros but for a few bytes, none of them an end mark.
fn is_nearly_zeros(file: &SegmentFile) -> io::Result<bool> {
    let mut buffer = vec![0; LOOK_BYTES];
    let (mut offset, mut strays) = (0, 0);
    while offset < file.len {
        let read = file.file.read_full_at(offset, &mut buffer)?;
        let bytes = &buffer[..read];
        if read == 0 {
            break;
        }
        if !is_zeros(bytes) {
            strays += bytes.iter().filter(|byte| **byte != 0).count();
            if strays > STRAY_BYTES_MAX || bytes.contains(&END_MARK) {
                return Ok(false);
            }
        }
        offset += read as u64;
    }
    Ok(true)
}
