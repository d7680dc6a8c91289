//! Graphs for people and for programs that draw them: a tree of box characters, Mermaid, Graphviz.

use std::collections::{BTreeMap, BTreeSet};

/// A graph whose nodes stand in an order in which every edge leads from an earlier node to a later one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drawing {
    /// The graph's name, for Graphviz.
    pub(crate) name: String,
    /// What each node shows.
    pub(crate) nodes: Vec<String>,
    /// For each node the earlier ones that it comes after.
    pub(crate) after: Vec<BTreeSet<usize>>,
    /// What else ties a node to another, in words: dotted lines beside the edges, `(node, other)`.
    pub(crate) ties: BTreeMap<(usize, usize), Vec<String>>,
}

impl Drawing {
    /// Earlier nodes on the left, each node once; where it comes again, it only says so.
    pub(crate) fn tree(&self) -> String {
        let mut later: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (node, before) in self.after.iter().enumerate() {
            for earlier in before {
                later[*earlier].push(node);
            }
        }
        let mut tree = Tree { drawing: self, later, seen: BTreeSet::new(), text: String::new() };
        for root in (0..self.nodes.len()).filter(|node| self.after[*node].is_empty()) {
            tree.branch(root, "", "", 0);
        }
        tree.text
    }

    /// A Mermaid flowchart; `arrow` says which way the arrows point.
    pub(crate) fn mermaid(&self, arrow: Arrow) -> String {
        let mut text = String::from(match arrow {
            Arrow::ToLater => "flowchart LR\n",
            Arrow::ToEarlier => "flowchart TD\n",
        });
        for (at, label) in self.nodes.iter().enumerate() {
            text.push_str(&format!("  n{at}[\"{}\"]\n", mermaid_text(label)));
        }
        for (from, to) in self.arrows(arrow) {
            text.push_str(&format!("  n{from} --> n{to}\n"));
        }
        for (from, to, words) in self.dotted(arrow) {
            text.push_str(&format!("  n{from} -. \"{}\" .-> n{to}\n", mermaid_text(&words)));
        }
        text
    }

    /// For Graphviz.
    pub(crate) fn dot(&self, arrow: Arrow) -> String {
        let mut text = format!("digraph {} {{\n", dot_text(&self.name));
        if arrow == Arrow::ToLater {
            text.push_str("  rankdir=LR;\n");
        }
        text.push_str("  node [shape=box];\n");
        for (at, label) in self.nodes.iter().enumerate() {
            text.push_str(&format!("  n{at} [label={}];\n", dot_text(label)));
        }
        for (from, to) in self.arrows(arrow) {
            text.push_str(&format!("  n{from} -> n{to};\n"));
        }
        for (from, to, words) in self.dotted(arrow) {
            let label = dot_text(&words);
            text.push_str(&format!("  n{from} -> n{to} [style=dotted, constraint=false, label={label}];\n"));
        }
        text.push_str("}\n");
        text
    }

    fn arrows(&self, arrow: Arrow) -> impl Iterator<Item = (usize, usize)> {
        self.after.iter().enumerate().flat_map(move |(later, before)| {
            before.iter().map(move |earlier| match arrow {
                Arrow::ToLater => (*earlier, later),
                Arrow::ToEarlier => (later, *earlier),
            })
        })
    }

    fn dotted(&self, arrow: Arrow) -> impl Iterator<Item = (usize, usize, String)> {
        self.ties.iter().map(move |((node, other), words)| {
            let words = tied(words).join("\n");
            match arrow {
                Arrow::ToLater => (*other, *node, words),
                Arrow::ToEarlier => (*node, *other, words),
            }
        })
    }
}

/// What ties two nodes, as far as it is shown, a line each.
fn tied(words: &[String]) -> Vec<String> {
    let shown = if words.len() > MAX_REPEATS { MAX_REPEATS - 1 } else { words.len() };
    let mut lines = words[..shown].to_vec();
    if words.len() > shown {
        lines.push(format!("… and {} more", words.len() - shown));
    }
    lines
}

/// Leaves out every edge that a longer way already implies. For each node, `after` has earlier ones.
pub(crate) fn reduce(after: &mut [BTreeSet<usize>]) {
    let words = after.len().div_ceil(64);
    let mut reached: Vec<Vec<u64>> = Vec::with_capacity(after.len());
    for direct in after {
        let mut all = vec![0_u64; words];
        for before in &*direct {
            for (all, theirs) in all.iter_mut().zip(&reached[*before]) {
                *all |= theirs;
            }
        }
        direct.retain(|before| all[before / 64] & (1 << (before % 64)) == 0);
        for before in &*direct {
            all[before / 64] |= 1 << (before % 64);
        }
        reached.push(all);
    }
}

/// How far to the right a lone branch goes on; deeper down it goes on below itself.
const MAX_DEPTH: usize = 16;
/// How many nodes that stand further up already are named under one node, and how many words tie it to another.
const MAX_REPEATS: usize = 5;

/// A tree as far as it is drawn.
struct Tree<'d> {
    drawing: &'d Drawing,
    /// For each node those that come right after it.
    later: Vec<Vec<usize>>,
    seen: BTreeSet<usize>,
    text: String,
}

impl Tree<'_> {
    fn branch(&mut self, node: usize, first: &str, rest: &str, depth: usize) {
        self.seen.insert(node);
        let (repeated, new): (Vec<usize>, Vec<usize>) =
            self.later[node].iter().partition(|later| self.seen.contains(later));
        let mut lines = self.drawing.nodes[node].lines();
        self.text.push_str(&format!("{first}{}\n", lines.next().unwrap_or_default()));
        let bar = if self.later[node].is_empty() { " " } else { "│" };
        let ties = self.drawing.ties.range((node, 0)..=(node, usize::MAX)).flat_map(|(_, words)| tied(words));
        for line in lines.map(str::to_owned).chain(ties) {
            self.text.push_str(&format!("{rest}{bar}    {line}\n"));
        }
        if let ([only], []) = (new.as_slice(), repeated.as_slice())
            && depth >= MAX_DEPTH
        {
            self.branch(*only, &format!("{rest}↓ "), rest, depth);
            return;
        }
        let named = if repeated.len() > MAX_REPEATS { MAX_REPEATS - 1 } else { repeated.len() };
        let more = (repeated.len() - named).min(1);
        let last = new.len() + named + more;
        let corner = |at: usize| if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        for (at, child) in new.iter().chain(&repeated[..named]).enumerate() {
            let (corner, below) = corner(at + 1);
            if self.seen.contains(child) {
                let label = self.drawing.nodes[*child].lines().next().unwrap_or_default();
                self.text.push_str(&format!("{rest}{corner}{label} … (see above)\n"));
            } else {
                self.branch(*child, &format!("{rest}{corner}"), &format!("{rest}{below}"), depth + 1);
            }
        }
        if more > 0 {
            let (corner, _) = corner(last);
            self.text.push_str(&format!("{rest}{corner}… and {} more (see above)\n", repeated.len() - named));
        }
    }
}

/// Which way arrows point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrow {
    /// What runs first points to what runs after it.
    ToLater,
    /// What depends points to what it depends on.
    ToEarlier,
}

fn mermaid_text(label: &str) -> String {
    label
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\n', "<br/>")
}

fn dot_text(label: &str) -> String {
    format!("\"{}\"", label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// a ← b ← c, a ← c, a ← d; e alone.
    fn drawing() -> Drawing {
        let after: [&[usize]; 5] = [&[], &[0], &[0, 1], &[0], &[]];
        Drawing {
            name: "my \"shop\"".to_owned(),
            nodes: ["a\n2 pending", "b", "c \"x\" \\ <y>", "d", "e"].map(str::to_owned).to_vec(),
            after: after.iter().map(|before| before.iter().copied().collect()).collect(),
            ties: BTreeMap::new(),
        }
    }

    #[test]
    fn each_node_is_drawn_once() {
        insta::assert_snapshot!(drawing().tree(), @r#"
        a
        │    2 pending
        ├─ b
        │  └─ c "x" \ <y>
        ├─ c "x" \ <y> … (see above)
        └─ d
        e
        "#);
        let mut reduced = drawing();
        reduce(&mut reduced.after);
        insta::assert_snapshot!(reduced.tree(), @r#"
        a
        │    2 pending
        ├─ b
        │  └─ c "x" \ <y>
        └─ d
        e
        "#);
    }

    fn numbered(after: Vec<BTreeSet<usize>>) -> Drawing {
        let nodes = (0..after.len()).map(|at| format!("k{at}")).collect();
        Drawing { nodes, after, ..Drawing::default() }
    }

    #[test]
    fn dense_graphs_stay_small() {
        // Everything after everything.
        let mut chain = numbered((0..300).map(|at| (0..at).collect()).collect());
        reduce(&mut chain.after);
        assert_eq!(chain.arrows(Arrow::ToLater).count(), 299);
        let tree = chain.tree();
        assert!(tree.lines().count() == 300 && tree.len() < 30_000, "{tree}");
        let end: Vec<_> = tree.lines().map(str::trim_start).skip(16).take(3).collect();
        assert_eq!(end, ["└─ k16", "↓ k17", "↓ k18"]);
        // Half of it after each of the other half: nothing is implied, and no edge is left out but in the tree.
        let half = |at: usize| if at < 150 { BTreeSet::new() } else { (0..150).collect() };
        let mut halves = numbered((0..300).map(half).collect());
        reduce(&mut halves.after);
        assert_eq!(halves.arrows(Arrow::ToLater).count(), 150 * 150);
        let tree = halves.tree();
        assert_eq!(tree.lines().count(), 151 + 149 * 6);
        assert!(tree.ends_with(
            "\nk149\n├─ k150 … (see above)\n├─ k151 … (see above)\n├─ k152 … (see above)\n\
             ├─ k153 … (see above)\n└─ … and 146 more (see above)\n"
        ));
    }

    #[test]
    fn what_ties_nodes_is_dotted() {
        let mut tied = drawing();
        reduce(&mut tied.after);
        let all = |number: usize| (1..=number).map(|at| format!("{at} requires a@\"{at}\"")).collect();
        tied.ties = BTreeMap::from([((1, 0), all(1)), ((3, 0), all(7))]);
        insta::assert_snapshot!(tied.tree(), @r#"
        a
        │    2 pending
        ├─ b
        │  │    1 requires a@"1"
        │  └─ c "x" \ <y>
        └─ d
                1 requires a@"1"
                2 requires a@"2"
                3 requires a@"3"
                4 requires a@"4"
                … and 3 more
        e
        "#);
        let last =
            |text: String| text.lines().rev().take(3).map(str::to_owned).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(last(tied.mermaid(Arrow::ToEarlier)), @r#"
          n3 -. "1 requires a@&quot;1&quot;<br/>2 requires a@&quot;2&quot;<br/>3 requires a@&quot;3&quot;<br/>4 requires a@&quot;4&quot;<br/>… and 3 more" .-> n0
          n1 -. "1 requires a@&quot;1&quot;" .-> n0
          n3 --> n0
        "#);
        insta::assert_snapshot!(last(tied.dot(Arrow::ToLater)), @r#"
        }
          n0 -> n3 [style=dotted, constraint=false, label="1 requires a@\"1\"\n2 requires a@\"2\"\n3 requires a@\"3\"\n4 requires a@\"4\"\n… and 3 more"];
          n0 -> n1 [style=dotted, constraint=false, label="1 requires a@\"1\""];
        "#);
    }

    #[test]
    fn labels_cannot_break_out() {
        insta::assert_snapshot!(drawing().mermaid(Arrow::ToEarlier), @r#"
        flowchart TD
          n0["a<br/>2 pending"]
          n1["b"]
          n2["c &quot;x&quot; \ &lt;y&gt;"]
          n3["d"]
          n4["e"]
          n1 --> n0
          n2 --> n0
          n2 --> n1
          n3 --> n0
        "#);
        insta::assert_snapshot!(drawing().dot(Arrow::ToLater), @r#"
        digraph "my \"shop\"" {
          rankdir=LR;
          node [shape=box];
          n0 [label="a\n2 pending"];
          n1 [label="b"];
          n2 [label="c \"x\" \\ <y>"];
          n3 [label="d"];
          n4 [label="e"];
          n0 -> n1;
          n0 -> n2;
          n1 -> n2;
          n0 -> n3;
        }
        "#);
    }
}
