//! Stores that this user may not write, or not read, and disks that are full.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use crate::{
    command::{Run, finish, sensor},
    mount::Mount,
    nobody::unprivileged,
    refusal::refused,
    root::is_root,
    site::{FILE, Site},
};

#[test]
fn a_store_that_this_user_may_only_read_is_read_and_one_that_it_may_not_is_refused() {
    if !is_root("a_store_that_this_user_may_only_read_is_read_and_one_that_it_may_not_is_refused") {
        return;
    }
    let site = Site::new();
    let (config, store) = (site.config(), site.store());
    let question = site.question(&config, &store, &[]);
    let ask = || finish(&mut unprivileged(&site.0, &question));
    let (as_root, as_nobody) = (site.report(&store, &[]), ask());
    assert_eq!((as_nobody.status, &*as_nobody.stderr), (Some(0), ""), "{as_nobody:?}");
    assert_eq!(as_nobody.stdout, as_root.stdout);
    assert_eq!(
        fs::read_dir(site.path("store")).unwrap().count(),
        1,
        "a reader leaves nothing behind that it did not find"
    );
    fs::set_permissions(site.file(), Permissions::from_mode(0o600)).unwrap();
    refused("a closed file", &ask(), &["store.sqlite", "cannot be read", "a user that may read the store"]);
    fs::set_permissions(site.path("store"), Permissions::from_mode(0o700)).unwrap();
    refused("a closed folder", &ask(), &["store.sqlite", "cannot be read", "see to its permissions"]);
    fs::set_permissions(site.path("store"), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(site.file(), Permissions::from_mode(0o644)).unwrap();
    let run = finish(&mut unprivileged(&site.0, &["store", "vacuum", "--store", &store]));
    refused("a vacuum", &run, &["store.sqlite", "cannot be used as a store"]);
}

#[test]
fn a_store_on_a_file_system_that_cannot_be_written_is_read() {
    if !is_root("a_store_on_a_file_system_that_cannot_be_written_is_read") {
        return;
    }
    let site = Site::new();
    let whole = fs::read(site.file()).unwrap();
    let at = site.path("fixed");
    let _mount = Mount::new("tmpfs", "size=16m,mode=0755", &at);
    fs::write(at.join(FILE), &whole).unwrap();
    let fixed = |how: &str| {
        let mut command = Command::new("mount");
        command.args(["-o", &format!("remount,{how}")]).arg(&at);
        assert!(command.status().unwrap().success());
    };
    fixed("ro");
    let run = site.report(at.to_str().unwrap(), &[]);
    assert_eq!((run.status, &*run.stderr), (Some(0), ""), "{run:?}");
    assert_eq!(run.stdout, site.report(&site.store(), &[]).stdout);
    // Records that are beside the file would be missing without a word.
    fixed("rw");
    fs::write(at.join("store.sqlite-wal"), [7; 5000]).unwrap();
    fixed("ro");
    let run = site.report(at.to_str().unwrap(), &[]);
    refused("a log", &run, &["store.sqlite-wal beside it", "copy the folder to where you may write"]);
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    if !is_root("a_full_disk_is_said_to_be_full") {
        return;
    }
    let site = Site::new();
    let at = site.path("small");
    let _small = Mount::new("tmpfs", "size=128k,mode=0700", &at);
    let rows = site.path("rows.jsonl");
    let export = |to: &Path| {
        let mut command = sensor(["store", "export", "--store", &site.store()]);
        let output = command.stdout(File::create(to).unwrap()).output().unwrap();
        Run { status: output.status.code(), stdout: String::new(), stderr: String::from_utf8(output.stderr).unwrap() }
    };
    assert_eq!(export(&rows).status, Some(0));
    refused(
        "an export",
        &export(&at.join("rows.jsonl")),
        &["cannot write the rows", "free disk space", "No space left"],
    );
    fs::remove_file(at.join("rows.jsonl")).unwrap();
    let small = at.to_str().unwrap();
    let run = finish(&mut sensor(["store", "import", "--store", small, rows.to_str().unwrap()]));
    refused("an import", &run, &["store.sqlite", "free disk space"]);
    let capture = site.path("two_days.pcap");
    for name in fs::read_dir(&at).unwrap() {
        fs::remove_file(name.unwrap().path()).unwrap();
    }
    let config = site.config();
    let replay = ["replay", "--engine", "native", "--config", &config, "--store", small, capture.to_str().unwrap()];
    refused("a replay", &finish(&mut sensor(replay)), &["store.sqlite", "free disk space"]);
    let run = site.report(&site.store(), &["--output", at.join("report.html").to_str().unwrap(), "--network", "lab"]);
    assert_ne!(run.status, Some(0), "{run:?}");
    // Room for the store, and none for what a vacuum writes beside it.
    let len = fs::metadata(site.file()).unwrap().len();
    let tight = site.path("tight");
    let _tight = Mount::new("tmpfs", &format!("size={},mode=0700", len + 64 * 1024), &tight);
    fs::copy(site.file(), tight.join(FILE)).unwrap();
    let run = finish(&mut sensor(["store", "vacuum", "--store", tight.to_str().unwrap()]));
    refused("a vacuum", &run, &["store.sqlite", "free", "disk space"]);
}
