//! Files are written, found, read and received.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use snapshot::{Directory, Found, Meta, Reader, Receiver, Source, Writer, verify};
use vfs::{MemVfs, Vfs};

fn meta(index: u64) -> Meta {
    Meta {
        cluster: 7,
        group: 1,
        term: 3,
        index,
        time_ms: 1_000,
        head: Bytes::from_static(b"the head"),
    }
}

fn write(directory: &Directory, index: u64, blocks: &[Vec<u8>]) -> Found {
    let mut writer = Writer::create(directory, &meta(index)).unwrap();
    for block in blocks {
        writer.block(block).unwrap();
    }
    writer.finish().unwrap()
}

fn directory(disk: &MemVfs, path: &str) -> Directory {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    Directory::open(vfs, Path::new(path)).unwrap()
}

#[test]
fn a_file_is_found_and_says_what_was_written() {
    let disk = MemVfs::new(1);
    let directory = directory(&disk, "/snapshots");
    let blocks = vec![b"one".to_vec(), Vec::new(), vec![7; 300_000]];
    write(&directory, 5, &[]);
    let found = write(&directory, 9, &blocks);
    let newest = directory.newest_good(7, 1).unwrap();
    assert_eq!(newest.good.as_ref(), Some(&found));
    assert!(newest.refused.is_empty());
    let (read_meta, mut reader) = Reader::open(&disk, &found.path).unwrap();
    assert_eq!(read_meta, meta(9));
    for block in &blocks {
        assert_eq!(reader.next_block().unwrap().as_ref(), Some(block));
    }
    assert_eq!(reader.next_block().unwrap(), None);
    assert_eq!(verify(&disk, &found.path).unwrap().id(), found.id());
    assert_eq!(directory.remove_older_than(9).unwrap().len(), 1);
    assert_eq!(directory.list().unwrap().len(), 1);
}

#[test]
fn a_file_is_received_in_pieces() {
    let disk = MemVfs::new(1);
    let from = directory(&disk, "/from");
    let to = directory(&disk, "/to");
    let sent = write(&from, 9, &[b"one".to_vec(), vec![7; 3_000]]);
    let source = Source::open(&disk, &sent).unwrap();
    let (mut receiver, mut offset) = Receiver::begin(&to, source.id()).unwrap();
    assert_eq!(offset, 0);
    loop {
        let chunk = source.read(offset, 100).unwrap();
        if chunk.is_empty() {
            break;
        }
        receiver.chunk(offset, &chunk).unwrap();
        offset += chunk.len() as u64;
    }
    let found = receiver.finish().unwrap();
    assert_eq!(found.id(), sent.id());
    assert_eq!(to.newest_good(7, 1).unwrap().good, Some(found));
}
