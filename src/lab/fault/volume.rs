//! A small file system of its own for a broker's data, in a file beside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};

use crate::{files::own, process::Tool};

/// The smallest volume, bytes: with the files that Kafka makes of a topic, room for a minute of load.
const LEAST_BYTES: u64 = 256 << 20;

/// What has to be free on the disk of the machine beyond the volume, bytes.
const SPARE_BYTES: u64 = 2 << 30;

const FILLER: &str = "filler";

/// The file that holds the file system, beside the data. Without it, what is mounted there is someone else's.
const IMAGE: &str = "volume.img";
/// Where the file system is filled before it takes the place of the data.
const BESIDE: &str = "volume";

/// Copies `data` into a new file system and mounts it there, with all but `free_mib` filled. Nobody may use `data` meanwhile.
/// What was there is there again after [`unmount`].
///
/// # Errors
/// The machine's disk has too little room, or a program refuses.
pub fn mount(data: &Path, free_mib: u64) -> anyhow::Result<()> {
    let node = data.parent().context("the data folder has a parent")?;
    let (image, beside) = (node.join(IMAGE), node.join(BESIDE));
    let size = LEAST_BYTES.max(crate::lab::readings::used_bytes(data) * 2 + (free_mib << 20));
    let room = rustix::fs::statvfs(node).with_context(|| format!("checking the disk of {}", node.display()))?;
    let room = room.f_bavail * room.f_frsize;
    ensure!(
        room > size + SPARE_BYTES,
        "a volume of {} MiB does not fit into the {} MiB that are free for {}",
        size >> 20,
        room >> 20,
        node.display()
    );
    own::create(&image, 0o600)
        .and_then(|file| file.set_len(size))
        .with_context(|| format!("making {}", image.display()))?;
    own::make_folder(&beside, 0o777).with_context(|| format!("making {}", beside.display()))?;
    let tool = |name: &str| Tool::new(name, node);
    let path = |path: &Path| path.as_os_str().to_owned();
    // Without blocks for root alone and without a journal's worth of space that nobody sees.
    tool("mkfs.ext4").stdout(["-q".into(), "-F".into(), "-m".into(), "0".into(), path(&image)])?;
    tool("mount").stdout(["-o".into(), "loop".into(), path(&image), path(&beside)])?;
    let copied = tool("cp").stdout(["-a".into(), path(&data.join(".")), path(&beside)]);
    // Kafka takes every folder for a partition's.
    let cleared = fs::remove_dir(beside.join("lost+found"));
    tool("umount").stdout([path(&beside)])?;
    copied?;
    cleared.context("clearing the new volume")?;
    tool("mount").stdout(["-o".into(), "loop".into(), path(&image), path(data)])?;
    fill(data, free_mib).inspect_err(|_| {
        // The error is what counts; a mount that stays is removed by the next lab.
        let _ = unmount(data);
    })
}

fn fill(data: &Path, free_mib: u64) -> anyhow::Result<()> {
    let volume = rustix::fs::statvfs(data).context("checking the new volume")?;
    let filled = (volume.f_bavail * volume.f_frsize).saturating_sub(free_mib << 20);
    let path = data.join(FILLER);
    let file = own::create(&path, 0o666).with_context(|| format!("making {}", path.display()))?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, filled.max(1))
        .with_context(|| format!("filling {}", path.display()))
}

/// Takes the file system away, if there is one of [`mount`]. Nobody may use it any more.
///
/// # Errors
/// `umount` refuses.
pub fn unmount(data: &Path) -> anyhow::Result<()> {
    let node = data.parent().context("the data folder has a parent")?;
    if !node.join(IMAGE).exists() {
        return Ok(());
    }
    if is_mounted(data) {
        Tool::new("umount", node).stdout([data.as_os_str().to_owned()])?;
    }
    // Only room is lost when they stay.
    let _ = fs::remove_file(node.join(IMAGE));
    let _ = fs::remove_dir(node.join(BESIDE));
    Ok(())
}

/// Whether `dir` is a file system of its own.
pub fn is_mounted(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |dir: &Path| fs::metadata(dir).map(|metadata| metadata.dev()).ok();
    dir.parent().is_some_and(|parent| device(dir) != device(parent))
}

/// Takes away every file system of [`mount`] below `folder` that a lab left behind.
pub fn clean_up(folder: &Path) {
    let Ok(folder) = folder.canonicalize() else { return };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for at in mounts_below(&mounts, &folder).into_iter().filter(|at| is_ours(at)) {
        // One that is still in use stays; the next lab tries again.
        let _ = Tool::new("umount", "/").run([at.as_os_str().to_owned()]);
    }
}

/// Whether [`mount`] has made this mount point.
fn is_ours(at: &Path) -> bool {
    let is_named = at.ends_with("data") || at.ends_with(BESIDE);
    is_named && at.parent().is_some_and(|node| node.join(IMAGE).exists())
}

/// Mount points of proc_pid_mountinfo(5) below `folder`, the innermost first.
fn mounts_below(mountinfo: &str, folder: &Path) -> Vec<PathBuf> {
    // Spaces and the like are written as octal numbers there.
    let plain = |text: &str| {
        [("\\040", " "), ("\\011", "\t"), ("\\134", "\\")]
            .iter()
            .fold(text.to_owned(), |text, (code, c)| text.replace(code, c))
    };
    let at = mountinfo.lines().filter_map(|line| Some(PathBuf::from(plain(line.split(' ').nth(4)?))));
    let mut found: Vec<PathBuf> = at.filter(|at| at.starts_with(folder) && at != folder).collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_the_folder_are_found() {
        let text = "41 31 7:0 / /a/lab/clusters/x/broker-2/data rw - ext4 /dev/loop0 rw\n\
                    42 31 7:1 / /a/lab\\040two/data rw - ext4 /dev/loop1 rw\n43 31 0:1 / /a/lab rw - tmpfs t rw\n";
        let found = |folder: &str| mounts_below(text, Path::new(folder));
        assert_eq!(found("/a/lab"), [PathBuf::from("/a/lab/clusters/x/broker-2/data")]);
        assert_eq!(found("/a/lab two"), [PathBuf::from("/a/lab two/data")]);
        assert!(found("/b").is_empty());
    }

    #[test]
    fn a_plain_folder_is_no_volume() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        assert!(!is_mounted(&data));
        unmount(&data).unwrap();
        assert!(!is_ours(&data));
        fs::File::create(dir.path().join(IMAGE)).unwrap();
        assert!(is_ours(&data) && !is_ours(&dir.path().join("logs")));
        unmount(&data).unwrap();
        assert!(!dir.path().join(IMAGE).exists());
    }
}
