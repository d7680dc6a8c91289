//! The system's list of users, `/etc/passwd` (passwd(5)).

use std::io;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The home folder as it is written, which may be nothing.
    pub(crate) home: String,
}

/// All users, in the file's order.
pub(crate) fn read() -> io::Result<Vec<Entry>> {
    Ok(parse(&std::fs::read_to_string("/etc/passwd")?))
}

/// The user that this process runs as, where the list has it.
#[cfg(unix)]
pub(crate) fn current() -> Option<Entry> {
    let uid = rustix::process::geteuid().as_raw();
    read().ok()?.into_iter().find(|entry| entry.uid == uid)
}

/// The user that this process runs as; there is no such list here.
#[cfg(not(unix))]
pub(crate) fn current() -> Option<Entry> {
    None
}

pub(crate) fn parse(text: &str) -> Vec<Entry> {
    text.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let mut fields = line.split(':');
    let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
    let home = fields.nth(1)?.to_owned();
    Some(Entry { name: name.to_owned(), uid: id(uid)?, gid: id(gid)?, home })
}

/// macOS writes nobody's id as -2, which is 4294967294.
fn id(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_manual_has_them() {
        let text =
            "root:x:0:0:root:/root:/bin/bash\nnobody:*:-2:-2:Nobody:/var/empty:/bin/false\n+::::::\nbroken\n";
        let entry = |name: &str, id: u32, home: &str| Entry {
            name: name.to_owned(),
            uid: id,
            gid: id,
            home: home.to_owned(),
        };
        assert_eq!(parse(text), [entry("root", 0, "/root"), entry("nobody", 4_294_967_294, "/var/empty")]);
    }
}
