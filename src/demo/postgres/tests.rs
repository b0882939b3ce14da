//! The promises of a private Postgres, on a real one.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::*;

async fn ask(server: &PrivatePostgres, question: &'static str) -> String {
    let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
    sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap()
}

fn is_alive(pid: &str) -> bool {
    Command::new("/bin/sh").args(["-c", &format!("kill -0 {pid} 2>/dev/null")]).status().unwrap().success()
}

fn server_pid(directory: &Path) -> String {
    let pid_file = std::fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    pid_file.lines().next().unwrap().to_owned()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within ten seconds: {what}");
}

#[tokio::test]
async fn it_answers_queries_and_never_runs_as_root_nor_listens_on_a_port() {
    let server = PrivatePostgres::start().unwrap();

    let addresses = ask(&server, "SHOW listen_addresses").await;
    let data = server.directory.data().metadata().unwrap();
    let mode = server.directory.path().metadata().unwrap().permissions().mode();

    assert_eq!(addresses, "");
    assert_ne!(data.uid(), 0);
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn two_at_once_do_not_know_of_each_other() {
    let (one, two) = (PrivatePostgres::start().unwrap(), PrivatePostgres::start().unwrap());

    let (first, second) = (ask(&one, "SHOW data_directory").await, ask(&two, "SHOW data_directory").await);

    assert_ne!(first, second);
}

#[tokio::test]
async fn durability_is_off_unless_asked_for() {
    let quick = PrivatePostgres::start().unwrap();
    let durable = PrivatePostgres::start_with(Durability::Full).unwrap();

    let answers = (ask(&quick, "SHOW fsync").await, ask(&durable, "SHOW fsync").await);

    assert_eq!(answers, ("off".to_owned(), "on".to_owned()));
}

#[test]
fn stopping_leaves_no_process_and_no_directory() {
    let server = PrivatePostgres::start().unwrap();
    let directory = server.directory.path().to_owned();
    let pid = server_pid(&directory);
    assert!(is_alive(&pid));

    server.stop();

    assert!(!is_alive(&pid));
    assert!(!directory.exists());
}

#[test]
fn a_killed_parent_leaves_no_process_and_no_directory() {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "demo::postgres::tests::parent_to_be_killed"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(parent.stdout.take().unwrap()).lines();
    let directory = said
        .map(Result::unwrap)
        .find_map(|line| line.split_once("directory=").map(|(_, path)| PathBuf::from(path)))
        .unwrap();
    let pid = server_pid(&directory);
    assert!(is_alive(&pid));

    // `kill` is SIGKILL: the parent gets no chance to tidy up.
    parent.kill().unwrap();
    parent.wait().unwrap();

    until("the server has ended", || !is_alive(&pid));
    until("the directory is gone", || !directory.exists());
}

#[test]
#[ignore = "the child process of a_killed_parent_leaves_no_process_and_no_directory"]
fn parent_to_be_killed() {
    let server = PrivatePostgres::start().unwrap();
    println!("\ndirectory={}", server.directory.path().display());

    let read = std::io::stdin().read_to_end(&mut Vec::new()).unwrap();

    assert_eq!(read, 0);
}

#[test]
fn a_server_that_refuses_its_settings_is_reported_at_once_in_its_own_words() {
    let binaries = binaries::Binaries::find().unwrap();
    let directory = Directory::create().unwrap();
    let owner = owner::Owner::for_user(directory.created_by()).unwrap();
    directory.give_to(owner).unwrap();

    // No initdb: there is no data directory to run on.
    let mut server = Server::launch(&binaries, &directory, owner, &Plan::default()).unwrap();
    let error = server.wait_until_ready(&directory).unwrap_err().to_string();

    assert!(error.contains("did not start (the server)") && error.contains("/data"), "{error}");
}
