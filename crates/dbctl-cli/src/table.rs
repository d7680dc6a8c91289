//! Tables on standard output.

use comfy_table::{ContentArrangement, Table, presets};

/// What of a cell is shown however narrow the terminal is.
const MIN_CELL_CHARS: usize = 8;

/// As [`lines`], with the cells of one column cut so that the lines fit into a width.
pub(crate) fn lines_within<const N: usize>(
    header: [&str; N],
    rows: &[[String; N]],
    flexible: usize,
    width: Option<usize>,
) -> Vec<String> {
    let whole = lines(header, rows);
    let longest = whole.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    let Some(excess) = width.and_then(|width| longest.checked_sub(width)) else { return whole };
    let widest = rows.iter().map(|row| one_line(&row[flexible]).chars().count()).max().unwrap_or_default();
    let most = widest.saturating_sub(excess).max(MIN_CELL_CHARS);
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row[flexible] = shorten(&row[flexible], most);
    }
    lines(header, &rows)
}

/// The first line of a text, cut to that many characters.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let line = one_line(text);
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most - 1).chain(['…']).collect()
}

/// Lays out rows under a header: one line each, columns two blanks apart, no frame. The first line is the header.
pub(crate) fn lines<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header)
        .add_rows(rows.iter().map(|row| row.iter().map(|cell| one_line(cell))));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn one_line(cell: &str) -> String {
    cell.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_content() {
        let rows = [["core", "Zürich", ""], ["a", "b\nnot shown", "c"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            lines(["KEY", "NAME", "WHAT"], &rows),
            ["KEY   NAME    WHAT", "core  Zürich", "a     b       c"]
        );
    }

    #[test]
    fn one_column_gives_way_on_a_narrow_terminal() {
        let rows =
            [["core", "relation \"vehicle\" does not exist", "80 ms"], ["pshop", "because of core", ""]]
                .map(|row| row.map(str::to_owned));
        let within = |width| lines_within(["DATABASE", "WHAT", "TIME"], &rows, 1, width).join("\n");
        assert_eq!(within(None), within(Some(50)));
        insta::assert_snapshot!(within(Some(40)), @r#"
        DATABASE  WHAT                     TIME
        core      relation "vehicle" doe…  80 ms
        pshop     because of core
        "#);
        insta::assert_snapshot!(within(Some(10)), @r"
        DATABASE  WHAT      TIME
        core      relatio…  80 ms
        pshop     because…
        ");
    }
}
