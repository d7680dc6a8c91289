//! Tables on standard output.

use comfy_table::{ContentArrangement, Table, presets};

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
}
