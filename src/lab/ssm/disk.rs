//! The file system of a client instance: this machine's, with some folders and files of its own in their places. What its user
//! data and its commands write there is kept in the instance's folder, and this machine does not see it.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::symlink,
    path::Path,
};

use crate::files::own;

/// Folders that an instance has of its own. What this machine has in them is there, too.
const FOLDERS: [&str; 4] = ["etc/profile.d", "home", "opt", "usr/local/bin"];
/// As these, where this machine has it.
const USER: &str = "home/ec2-user";
/// What an instance does not see of this machine in them: its user data makes it.
const HIDDEN: [&str; 4] = ["etc/profile.d/kafka.sh", "home/ec2-user/scripts", "opt/kafka", "usr/local/bin/kgen"];

/// Makes the folder `disk` of an instance that lives in `lab`. Returns what has to be mounted in a mount namespace of its own, as
/// fstab(5) has it. `root` is this machine's `/`.
///
/// # Errors
/// This machine lacks one of the folders, or the lab is in one that an instance has for itself.
pub fn prepare(disk: &Path, root: &Path, lab: &Path) -> io::Result<String> {
    if let Some(hidden) = HIDDEN.iter().find(|hidden| lab.starts_with(root.join(hidden))) {
        let message = format!("the lab is in /{hidden}, which an instance has of its own");
        return Err(io::Error::new(ErrorKind::Unsupported, message));
    }
    let mut mounts = String::new();
    let user = root.join(USER).is_dir().then_some(USER);
    for folder in user.into_iter().chain(FOLDERS) {
        own::make_folder(&disk.join(folder), 0o755)?;
        let entries = fs::read_dir(root.join(folder)).map_err(|error| {
            io::Error::new(error.kind(), format!("reading /{folder}, which an instance has of its own: {error}"))
        })?;
        for entry in entries {
            let entry = entry?;
            let name = Path::new(folder).join(entry.file_name());
            if !HIDDEN.iter().chain(&user).any(|own| name == Path::new(own)) {
                show(&entry, &disk.join(&name), &mut mounts)?;
            }
        }
    }
    for folder in FOLDERS {
        mount(&disk.join(folder), &root.join(folder), &mut mounts);
    }
    own::make_folder(&disk.join("etc"), 0o755)?;
    for (file, line) in [
        // In a user namespace there are no other ids.
        ("etc/passwd", "ec2-user:x:0:0:EC2 Default User:/home/ec2-user:/bin/bash"),
        ("etc/group", "ec2-user:x:0:"),
    ] {
        let text = fs::read_to_string(root.join(file))?;
        let others = text.lines().filter(|line| !line.starts_with("ec2-user:"));
        let lines: Vec<&str> = others.chain([line]).collect();
        own::replace(&disk.join(file), format!("{}\n", lines.join("\n")).as_bytes())?;
        mount(&disk.join(file), &root.join(file), &mut mounts);
    }
    Ok(mounts)
}

/// Has an entry of this machine's folder in the instance's, unless the instance has one of this name.
fn show(entry: &fs::DirEntry, at: &Path, mounts: &mut String) -> io::Result<()> {
    let kind = entry.file_type()?;
    let there = match fs::symlink_metadata(at) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match there {
        None if kind.is_symlink() => return symlink(fs::read_link(entry.path())?, at),
        None if kind.is_dir() => own::make_folder(at, 0o755)?,
        None if kind.is_file() => drop(own::create_new(at, 0o644)?),
        // What was made last time for this is empty.
        Some(there) if kind.is_dir() && there.is_dir() && fs::read_dir(at)?.next().is_none() => {}
        Some(there) if kind.is_file() && there.is_file() && there.len() == 0 => {}
        _ => return Ok(()),
    }
    mount(&entry.path(), at, mounts);
    Ok(())
}

fn mount(from: &Path, to: &Path, mounts: &mut String) {
    *mounts += &format!("{} {} none rbind 0 0\n", field(from), field(to));
}

/// A path as a field of fstab(5).
fn field(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_sees_this_machine_except_for_what_its_user_data_makes() {
        let dir = tempfile::tempdir().unwrap();
        let (root, disk) = (dir.path().join("root"), dir.path().join(".kgen/disk"));
        for folder in
            ["etc/profile.d", "home/a b", "home/ec2-user/scripts", "home/ec2-user/work", "opt/kafka", "usr/local/bin"]
        {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in ["usr/local/bin/kgen", "usr/local/bin/aws", "etc/profile.d/kafka.sh"] {
            fs::write(root.join(file), "x").unwrap();
        }
        symlink("aws", root.join("usr/local/bin/aws2")).unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nec2-user:x:1000:1000::/x:/bin/sh\n").unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
        let prepare = |lab: &str| prepare(&disk, &root, &root.join(lab));

        // The second time, what the first has made is not taken for the instance's own.
        for _ in 0..2 {
            let mounts = prepare("home/a b/.kgen").unwrap();
            let of = |path: &Path| field(path.strip_prefix(dir.path()).unwrap());
            let is_mounted = |from: &str, to: &str| {
                let line = |path: &str| field(&dir.path().join(path));
                mounts.lines().any(|mount| mount == format!("{} {} none rbind 0 0", line(from), line(to)))
            };
            assert_eq!(of(&dir.path().join("a b\\")), "a\\040b\\134");
            assert!(is_mounted("root/home/a b", ".kgen/disk/home/a b"), "{mounts}");
            assert!(is_mounted("root/home/ec2-user/work", ".kgen/disk/home/ec2-user/work"), "{mounts}");
            assert!(is_mounted("root/usr/local/bin/aws", ".kgen/disk/usr/local/bin/aws"), "{mounts}");
            for folder in FOLDERS {
                assert!(is_mounted(&format!(".kgen/disk/{folder}"), &format!("root/{folder}")), "{mounts}");
            }
            assert_eq!(mounts.lines().count(), 3 + 4 + 2, "{mounts}");
        }
        assert_eq!(fs::read_link(disk.join("usr/local/bin/aws2")).unwrap(), Path::new("aws"));
        let users = fs::read_to_string(disk.join("etc/passwd")).unwrap();
        assert_eq!(users.lines().nth(1).unwrap(), "ec2-user:x:0:0:EC2 Default User:/home/ec2-user:/bin/bash");
        assert_eq!(users.lines().count(), 2);

        // What the instance has made stays.
        fs::write(disk.join("usr/local/bin/aws"), "its own").unwrap();
        assert_eq!(prepare("work").unwrap().lines().count(), 2 + 4 + 2);
        assert_eq!(prepare("opt/kafka/lab").unwrap_err().kind(), ErrorKind::Unsupported);
        fs::remove_dir_all(root.join("opt")).unwrap();
        assert!(prepare("work").unwrap_err().to_string().contains("reading /opt"));
    }
}
