//! One writer a stack. The lock is the operating system's, on a file that says who holds it: it ends with its
//! process, however that ends.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::StateError;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// The command.
    pub command: String,
    /// Since when.
    pub since: jiff::Timestamp,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`lake {}`, pid {} on {}, since {:.0}", self.command, self.pid, self.host, self.since)
    }
}

impl Holder {
    /// This process.
    pub fn this(command: &str) -> Self {
        Holder {
            pid: std::process::id(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            command: command.to_owned(),
            since: jiff::Timestamp::now(),
        }
    }
}

/// The right to write a stack's state, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at `path` for `holder`, or says who has it.
    pub fn acquire(path: &Path, holder: &Holder) -> Result<Self, StateError> {
        let io = |source| StateError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::Locked(Box::new(read_holder(&mut file)))),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).map_err(io)?;
        file.write_all(&serde_json::to_vec(holder).expect("a holder is plain data")).map_err(io)?;
        Ok(Lock { _file: file })
    }
}

/// Who the file says holds the lock. Its writer may be between taking the lock and telling so.
fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_else(|| Holder {
        pid: 0,
        host: "this host".to_owned(),
        command: "(just started)".to_owned(),
        since: jiff::Timestamp::now(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_the_lock_since_when_and_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Holder::this("apply");
        let lock = Lock::acquire(&path, &first).unwrap();
        match Lock::acquire(&path, &Holder::this("destroy")) {
            Err(StateError::Locked(holder)) => assert_eq!(*holder, first),
            other => panic!("expected to be refused: {other:?}"),
        }
        drop(lock);
        Lock::acquire(&path, &Holder::this("destroy")).unwrap();
    }
}
