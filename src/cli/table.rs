//! Tables for people: columns as wide as they need, the last one cut to the terminal, colours only there.
//!
//! What upstreams wrote is shown without control characters: a tool description must not move the cursor.

use std::io::IsTerminal;

/// Between two columns.
const GAP: &str = "   ";
/// Where the terminal does not tell.
const DEFAULT_WIDTH: usize = 100;
/// The last column is never cut below this.
const MIN_LAST: usize = 20;

/// Rows under a header.
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
    look: Look,
}

/// How to show it.
#[derive(Clone, Copy, Default)]
pub(super) struct Look {
    colours: bool,
    width: Option<usize>,
}

/// One value of a row.
pub(super) struct Cell {
    text: String,
    colour: Option<&'static str>,
}

impl Cell {
    pub(super) fn plain(text: &str) -> Self {
        Self {
            text: plain(text),
            colour: None,
        }
    }

    pub(super) fn good(text: &str) -> Self {
        Self {
            text: plain(text),
            colour: Some("\x1b[32m"),
        }
    }

    pub(super) fn bad(text: &str) -> Self {
        Self {
            text: plain(text),
            colour: Some("\x1b[31m"),
        }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl Table {
    /// `header` names the columns, separated by spaces.
    pub(super) fn new(header: &str, look: Look) -> Self {
        Self {
            rows: vec![header.split_whitespace().map(Cell::plain).collect()],
            look,
        }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Lines, each with its end.
    pub(super) fn render(&self) -> String {
        let widths = self.widths();
        self.rows.iter().map(|row| line(row, &widths, self.look)).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(Cell::width)
                .max()
                .unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

impl Look {
    /// Plain where standard output is no terminal.
    pub(super) fn of_stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self {
                colours: false,
                width: None,
            };
        }
        let width = std::env::var("COLUMNS")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(DEFAULT_WIDTH);
        Self {
            colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            width: Some(width),
        }
    }
}

fn line(row: &[Cell], widths: &[usize], look: Look) -> String {
    let mut line = String::new();
    let mut used = 0;
    for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
        let last = index + 1 == row.len();
        let room = look
            .width
            .filter(|_| last)
            .map(|total| total.saturating_sub(used).max(MIN_LAST));
        let text = room.map_or_else(|| cell.text.clone(), |room| cut(&cell.text, room));
        match cell.colour.filter(|_| look.colours) {
            Some(colour) => line.push_str(&format!("{colour}{text}\x1b[0m")),
            None => line.push_str(&text),
        }
        if !last {
            line.push_str(&" ".repeat(width.saturating_sub(cell.width())));
            line.push_str(GAP);
        }
        used += width + GAP.len();
    }
    format!("{}\n", line.trim_end())
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

/// Without control characters.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_table(look: Look) -> Table {
        let mut table = Table::new("NAME READY DESCRIPTION", look);
        table.row(vec![
            Cell::plain("github"),
            Cell::good("yes"),
            Cell::plain("finds what you lost, wherever it is"),
        ]);
        table.row(vec![Cell::plain("a"), Cell::bad("no"), Cell::plain("")]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_value() {
        let text = mk_table(Look {
            colours: false,
            width: None,
        })
        .render();
        assert_eq!(
            text,
            "NAME     READY   DESCRIPTION\n\
             github   yes     finds what you lost, wherever it is\n\
             a        no\n"
        );
    }

    #[test]
    fn a_terminal_gets_colours_and_a_last_column_that_fits() {
        let text = mk_table(Look {
            colours: true,
            width: Some(40),
        })
        .render();
        let row = text.lines().nth(1).expect("a row");
        assert_eq!(row, "github   \x1b[32myes\x1b[0m     finds what you lost, w…");
    }

    #[test]
    fn control_characters_of_an_upstream_are_not_shown() {
        assert_eq!(plain("a\x1b[2Jb\u{9b}c"), "a [2Jb c");
    }
}
