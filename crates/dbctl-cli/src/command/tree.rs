//! Graphs for people and for programs that draw them: a tree of box characters, Mermaid, Graphviz.

use std::collections::BTreeSet;

/// A graph whose nodes stand in an order in which every edge leads from an earlier node to a later one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drawing {
    /// The graph's name, for Graphviz.
    pub(crate) name: String,
    /// What each node shows.
    pub(crate) nodes: Vec<String>,
    /// For each node the earlier ones that it comes after.
    pub(crate) after: Vec<BTreeSet<usize>>,
}

impl Drawing {
    /// Leaves out every edge that a longer way already implies.
    pub(crate) fn reduce(&mut self) {
        let mut reach: Vec<BTreeSet<usize>> = Vec::with_capacity(self.nodes.len());
        for node in 0..self.nodes.len() {
            let direct = &self.after[node];
            let implied: BTreeSet<usize> =
                direct.iter().flat_map(|before| reach[*before].iter().copied()).collect();
            let all = direct.union(&implied).copied().collect();
            self.after[node] = direct.difference(&implied).copied().collect();
            reach.push(all);
        }
    }

    /// Earlier nodes on the left, each node once; `(*)` marks one that stands further up already.
    pub(crate) fn tree(&self) -> String {
        let mut text = String::new();
        let mut seen = BTreeSet::new();
        for root in (0..self.nodes.len()).filter(|node| self.after[*node].is_empty()) {
            self.branch(root, "", "", &mut seen, &mut text);
        }
        text
    }

    fn branch(&self, node: usize, first: &str, rest: &str, seen: &mut BTreeSet<usize>, text: &mut String) {
        let mut lines = self.nodes[node].lines();
        let label = lines.next().unwrap_or_default();
        if !seen.insert(node) {
            text.push_str(&format!("{first}{label} (*)\n"));
            return;
        }
        text.push_str(&format!("{first}{label}\n"));
        let later: Vec<usize> =
            (node + 1..self.nodes.len()).filter(|later| self.after[*later].contains(&node)).collect();
        let bar = if later.is_empty() { " " } else { "│" };
        for line in lines {
            text.push_str(&format!("{rest}{bar}    {line}\n"));
        }
        for (at, child) in later.iter().enumerate() {
            let (corner, below) =
                if at + 1 == later.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.branch(*child, &format!("{rest}{corner}"), &format!("{rest}{below}"), seen, text);
        }
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
        }
    }

    #[test]
    fn each_node_is_drawn_once() {
        insta::assert_snapshot!(drawing().tree(), @r#"
        a
        │    2 pending
        ├─ b
        │  └─ c "x" \ <y>
        ├─ c "x" \ <y> (*)
        └─ d
        e
        "#);
        let mut reduced = drawing();
        reduced.reduce();
        insta::assert_snapshot!(reduced.tree(), @r#"
        a
        │    2 pending
        ├─ b
        │  └─ c "x" \ <y>
        └─ d
        e
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
