//! Texts that are almost valid: a valid one, some of whose tokens were taken out, doubled, exchanged or put in.

use proptest::{prelude::*, sample::Index};

/// What is put in: what opens, closes, ends or escapes something somewhere, and bytes that are no text.
const SCRAPS: &[&[u8]] = &[
    b"\0", b"\n", b"\r", b"\r\n", b"\t", b" ", b"\x0B", b"\x1B[2J", b"'", b"\"", b"`", b"$", b"$$", b"$a$", b"${", b"}",
    b"{", b"[", b"]", b"(", b")", b"/*", b"*/", b"--", b"\\", b"\\.", b";", b":", b",", b"=", b"#", b"&a ", b"*a", b"- ",
    b"---", b"|", b"-", b"_", b".", b"..", b"<<", b"@", b"0", b"-1", b"1e9", b"99999999999999999999", b"9223372036854775807",
    b"18446744073709551615", b"20260101000000", b"null", b"true", b"[]", b"{}", b"E'", b"U&'", b"begin atomic", b"end",
    b"copy t from stdin;\n", b"-- dbctl:", b"-- dbctl:requires a@", b"-- migrate:up", b"-- migrate:down", b"-- Up Migration",
    b"-- Down Migration", b"--> statement-breakpoint", b"\\restrict x", b".sql", b".up", b".down",
    "ä".as_bytes(), "İ".as_bytes(), "\u{301}".as_bytes(), "\u{2028}".as_bytes(), "\u{85}".as_bytes(), "\u{FEFF}".as_bytes(),
    "\u{202E}".as_bytes(), "💥".as_bytes(), b"\xFF", b"\xFF\xFE", b"\xC3", b"\xED\xA0\x80",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// One change of a text, at some of its tokens.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Delete(Index, usize),
    Double(Index, usize),
    Swap(Index, Index),
    Insert(Index, &'static [u8]),
    /// Nothing follows.
    Cut(Index),
}

/// Some changes; with none a text stays valid.
pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = any::<Index>;
    let change = prop_oneof![
        2 => (at(), 1..4_usize).prop_map(|(at, tokens)| Change::Delete(at, tokens)),
        2 => (at(), 1..9_usize).prop_map(|(at, tokens)| Change::Double(at, tokens)),
        2 => (at(), at()).prop_map(|(a, b)| Change::Swap(a, b)),
        4 => (at(), prop::sample::select(SCRAPS)).prop_map(|(at, scrap)| Change::Insert(at, scrap)),
        1 => at().prop_map(Change::Cut),
    ];
    prop::collection::vec(change, 0..5)
}

/// The text with its changes, one after the other.
pub(crate) fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    changes.iter().fold(bytes.to_owned(), |bytes, change| {
        let mut tokens = tokens(&bytes);
        let place = |at: &Index| at.index(tokens.len() + 1);
        let end = |from: usize, count: usize| (from + count).min(tokens.len());
        match change {
            Change::Delete(at, count) => {
                let from = place(at);
                tokens.drain(from..end(from, *count));
            }
            Change::Double(at, count) => {
                let from = place(at);
                let again = tokens[from..end(from, *count)].to_vec();
                tokens.splice(from..from, again);
            }
            Change::Swap(a, b) if !tokens.is_empty() => {
                let (a, b) = (a.index(tokens.len()), b.index(tokens.len()));
                tokens.swap(a, b);
            }
            Change::Swap(..) => {}
            Change::Insert(at, scrap) => tokens.insert(place(at), scrap),
            Change::Cut(at) => tokens.truncate(place(at)),
        }
        tokens.concat()
    })
}

/// Words, runs of blanks, and all other bytes one by one.
fn tokens(bytes: &[u8]) -> Vec<&[u8]> {
    let class = |byte: u8| match byte {
        b'_' => 1,
        b' ' => 2,
        byte if byte.is_ascii_alphanumeric() || !byte.is_ascii() => 1,
        _ => 0,
    };
    bytes.chunk_by(|a, b| class(*a) != 0 && class(*a) == class(*b)).collect()
}
