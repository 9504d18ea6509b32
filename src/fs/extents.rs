//! Parts of files that share their blocks, on file systems that can: XFS, btrfs.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::ioctl::{Setter, Updater, ioctl, opcode};

/// Blocks of the disk that a part of a file is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Where the part begins in the file, in bytes.
    pub logical: u64,
    /// Where it begins on the disk, in bytes; on btrfs in an address space of its own.
    pub physical: u64,
    /// In bytes.
    pub len: u64,
    /// Others have it too, or had it.
    pub shared: bool,
}

/// What sharing means on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// The smallest part of a file that can be shared, in bytes.
    pub block: u64,
    /// An extent is kept whole while any part of it is in use, as btrfs does. So what is to come
    /// back must be an extent of its own.
    pub whole_extents: bool,
}

/// `struct file_dedupe_range` of linux/fs.h, with the one destination that is asked for.
#[repr(C)]
struct DedupeRange {
    source_offset: u64,
    source_len: u64,
    dest_count: u16,
    reserved1: u16,
    reserved2: u32,
    dest_fd: i64,
    dest_offset: u64,
    deduped: u64,
    status: i32,
    reserved: u32,
}

/// Without the destinations: what the request's number is made of.
type DedupeHead = [u64; 3];

/// The kernel compares and shares no more at once.
pub(crate) const MOST: u64 = 16 << 20;

/// Has the bytes of `to` at `at` be those of `from` at `offset`, on the disk too, after the kernel
/// compared them. Gives back how many bytes that is true of now; 0 when they differ.
#[allow(unsafe_code, reason = "there is no other way to ask the kernel")]
pub(crate) fn share(
    from: impl AsFd,
    offset: u64,
    len: u64,
    to: impl AsFd,
    at: u64,
) -> io::Result<u64> {
    const SAME: i32 = 0;
    const DIFFERS: i32 = 1;
    // To the kernel, no length is all that there is.
    if len == 0 {
        return Ok(0);
    }
    let mut range = DedupeRange {
        source_offset: offset,
        source_len: len.min(MOST),
        dest_count: 1,
        reserved1: 0,
        reserved2: 0,
        dest_fd: i64::from(to.as_fd().as_raw_fd()),
        dest_offset: at,
        deduped: 0,
        status: 0,
        reserved: 0,
    };
    // SAFETY: the number is FIDEDUPERANGE's, and the structure the one it is for, with room for the
    // one answer that `dest_count` speaks of.
    let request = unsafe {
        Updater::<{ opcode::read_write::<DedupeHead>(0x94, 54) }, DedupeRange>::new(&mut range)
    };
    // SAFETY: as above; both descriptors are open for as long as the call takes.
    unsafe { ioctl(from, request) }?;
    match range.status {
        SAME => Ok(range.deduped),
        DIFFERS => Ok(0),
        errno => Err(io::Error::from_raw_os_error(errno.saturating_neg())),
    }
}

/// `struct file_clone_range` of linux/fs.h.
#[repr(C)]
struct CloneRange {
    source_fd: i64,
    source_offset: u64,
    source_len: u64,
    dest_offset: u64,
}

/// Puts `to` at `at` on the blocks that `from` is on at `offset`, whatever was there.
#[allow(unsafe_code, reason = "there is no other way to ask the kernel")]
pub(crate) fn clone(
    from: impl AsFd,
    offset: u64,
    len: u64,
    to: impl AsFd,
    at: u64,
) -> io::Result<()> {
    // To the kernel, no length is all that there is.
    if len == 0 {
        return Ok(());
    }
    let range = CloneRange {
        source_fd: i64::from(from.as_fd().as_raw_fd()),
        source_offset: offset,
        source_len: len,
        dest_offset: at,
    };
    // SAFETY: the number is FICLONERANGE's, and the structure the one it is for.
    let request =
        unsafe { Setter::<{ opcode::write::<CloneRange>(0x94, 13) }, CloneRange>::new(range) };
    // SAFETY: as above; both descriptors are open for as long as the call takes.
    Ok(unsafe { ioctl(to, request) }?)
}

/// How many extents are asked for at once.
const BATCH: usize = 128;

/// `struct fiemap_extent` of linux/fiemap.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FiemapExtent {
    logical: u64,
    physical: u64,
    len: u64,
    reserved: [u64; 2],
    flags: u32,
    reserved2: [u32; 3],
}

/// `struct fiemap`, with room for answers.
#[repr(C)]
struct Fiemap {
    start: u64,
    len: u64,
    flags: u32,
    mapped: u32,
    count: u32,
    reserved: u32,
    extents: [FiemapExtent; BATCH],
}

/// Without the answers.
type FiemapHead = [u64; 4];

/// The file's extents that are on the disk, in its order.
#[allow(unsafe_code, reason = "there is no other way to ask the kernel")]
pub(crate) fn extents(file: impl AsFd) -> io::Result<Vec<Extent>> {
    // Bytes that have no place yet get one first.
    const SYNC: u32 = 1;
    const LAST: u32 = 1;
    // Their place is not known, they are in the inode, or packed with others.
    const ELSEWHERE: u32 = 0x2 | 0x4 | 0x8 | 0x80 | 0x200;
    const SHARED: u32 = 0x2000;
    let mut found = Vec::new();
    let mut start = 0;
    loop {
        let mut map = Fiemap {
            start,
            len: u64::MAX - start,
            flags: SYNC,
            mapped: 0,
            count: BATCH as u32,
            reserved: 0,
            extents: [FiemapExtent::default(); BATCH],
        };
        // SAFETY: the number is FS_IOC_FIEMAP's, and the structure the one it is for, with room for
        // the `count` answers that it speaks of.
        let request = unsafe {
            Updater::<{ opcode::read_write::<FiemapHead>(b'f', 11) }, Fiemap>::new(&mut map)
        };
        // SAFETY: as above.
        unsafe { ioctl(&file, request) }?;
        let mapped = map.extents.iter().take(map.mapped as usize);
        for FiemapExtent { logical, physical, len, flags, .. } in mapped.clone().copied() {
            if flags & ELSEWHERE == 0 {
                found.push(Extent { logical, physical, len, shared: flags & SHARED != 0 });
            }
        }
        match mapped.copied().next_back() {
            Some(last) if last.flags & LAST == 0 && last.logical + last.len > start => {
                start = last.logical + last.len;
            }
            _ => return Ok(found),
        }
    }
}
