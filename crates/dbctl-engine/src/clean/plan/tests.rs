use proptest::prelude::*;

use super::*;
use crate::clean::Sequence;

fn name(text: &str) -> TableName {
    match text.split_once('.') {
        Some((schema, name)) => TableName::new(schema, name),
        None => TableName::new("public", text),
    }
}

/// `a`, `part of p`: `c<p`, several parents `c<p<q`; partitioned `p*`; owned by an extension `e!`.
fn table(text: &str) -> Table {
    let mut words = text.split('<');
    let own = words.next().unwrap();
    let bare = own.trim_end_matches(['*', '!']);
    Table {
        name: name(bare),
        extension: own.ends_with('!'),
        parents: words.map(name).collect(),
        partitioned: own.ends_with('*'),
    }
}

/// `from>to`.
fn reference(text: &str) -> Reference {
    let (from, to) = text.split_once('>').unwrap();
    Reference { constraint: format!("{from}_fkey"), from: name(from), to: name(to) }
}

/// `s`, used by tables `s:t:u`, owned by an extension `s!`.
fn sequence(text: &str) -> Sequence {
    let mut words = text.split(':');
    let own = words.next().unwrap();
    Sequence {
        name: name(own.trim_end_matches('!')),
        used_by: words.map(name).collect(),
        extension: own.ends_with('!'),
    }
}

fn inventory(tables: &str, references: &str, sequences: &str) -> Inventory {
    Inventory {
        tables: tables.split_whitespace().map(table).collect(),
        references: references.split_whitespace().map(reference).collect(),
        sequences: sequences.split_whitespace().map(sequence).collect(),
        materialized_views: Vec::new(),
    }
}

fn show(plan: &Result<CleanPlan, CleanRefusal>) -> String {
    let short = |t: &TableName| {
        if t.schema == "public" { t.name.clone() } else { format!("{}.{}", t.schema, t.name) }
    };
    match plan {
        Ok(plan) => {
            let truncate: Vec<_> = plan
                .truncate
                .iter()
                .map(|t| format!("{}{}", if t.only { "only " } else { "" }, short(&t.table)))
                .collect();
            let restart: Vec<_> = plan.restart.iter().map(short).collect();
            let mut text = truncate.join(", ");
            if !restart.is_empty() {
                text += &format!("; restart {}", restart.join(", "));
            }
            if !plan.unmatched.is_empty() {
                text += &format!("; unmatched {}", plan.unmatched.join(", "));
            }
            text
        }
        Err(refusal) => {
            let all: Vec<_> =
                refusal.0.iter().map(|r| format!("{} > {}", short(&r.from), short(&r.to))).collect();
            format!("refused: {}", all.join(", "))
        }
    }
}

#[test]
fn plans() {
    // tables, references, sequences, keep, what comes of it
    let cases = [
        ("b a", "", "", "", "a, b"),
        ("a s2.a", "", "", "a", ""),
        ("a s2.a", "", "", "s2.a", "a"),
        ("a b", "", "", "rolse", "a, b; unmatched rolse"),
        ("a pgmigrations x.schema_migrations sqitch.changes", "", "", "", "a"),
        ("a own_history", "", "", "", "a"),
        ("a geo!", "", "", "", "a"),
        // Foreign keys
        ("a b", "a>b b>a a>a", "", "", "a, b"),
        ("roles users", "users>roles", "", "roles", "users"),
        ("roles users", "users>roles", "", "users", "refused: users > roles"),
        ("a pgmigrations", "pgmigrations>a", "", "", "refused: pgmigrations > a"),
        // Partitions
        ("p* p1<p p2<p", "", "", "", "p"),
        ("p* p1<p p2<p", "", "", "p1", "p2"),
        ("p* p1<p p2<p", "", "", "p", ""),
        ("p* q*<p q1<q q2<q p1<p", "", "", "q1", "p1, q2"),
        ("p* p1<p foreign!<p", "", "", "", "p1"),
        ("p* p1<p x", "p>x", "", "p1", "refused: p1 > x"),
        ("p* p1<p p2<p x", "x>p", "", "x p1", "refused: x > p"),
        // Inheritance
        ("p c<p d<p", "", "", "", "p"),
        ("p c<p d<p", "", "", "c", "d, only p"),
        ("p c<p d<c x", "p>x", "", "d", "only c, only p, x"),
        ("p q c<p<q", "", "", "p", "only q"),
        // Sequences
        ("a", "", "a_id:a", "", "a; restart a_id"),
        ("a pgmigrations", "", "a_id:a pgmigrations_id_seq:pgmigrations", "", "a; restart a_id"),
        ("a b", "", "shared:a:b alone geo!", "b", "a; restart alone"),
        ("p* p1<p p2<p", "", "p_id:p", "p1", "p2"),
    ];
    for (tables, references, sequences, keep, expected) in cases {
        let keep: Vec<_> = keep.split_whitespace().map(str::to_owned).collect();
        let plan = plan_clean(&inventory(tables, references, sequences), &keep, &[name("own_history")]);
        assert_eq!(show(&plan), expected, "{tables} | {references} | {sequences} | {keep:?}");
    }
}

#[test]
fn a_name_may_hold_a_dot() {
    let tables = vec![
        Table {
            name: TableName::new("public", "a.b"),
            extension: false,
            parents: vec![],
            partitioned: false,
        },
        Table { name: TableName::new("a", "b"), extension: false, parents: vec![], partitioned: false },
    ];
    let plan = plan_clean(&Inventory { tables, ..Inventory::default() }, &["a.b".to_owned()], &[]).unwrap();
    assert_eq!(plan, CleanPlan::default());
}

/// What `TRUNCATE` would empty, children included.
fn emptied(inventory: &Inventory, plan: &CleanPlan) -> BTreeSet<TableName> {
    let mut empty: BTreeSet<_> = plan.truncate.iter().filter(|t| !t.only).map(|t| t.table.clone()).collect();
    while let Some(more) = inventory
        .tables
        .iter()
        .find(|t| !empty.contains(&t.name) && t.parents.iter().any(|p| empty.contains(p)))
    {
        empty.insert(more.name.clone());
    }
    empty.extend(plan.truncate.iter().map(|t| t.table.clone()));
    empty
}

prop_compose! {
    /// Tables t0 … tn, each a child of some earlier ones; partitions have one parent.
    fn any_inventory()(
        rows in prop::collection::vec((any::<bool>(), any::<bool>(), 0..8u8, prop::collection::vec(any::<prop::sample::Index>(), 0..3)), 1..12),
        edges in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..8),
    ) -> Inventory {
        let mut tables: Vec<Table> = Vec::new();
        for (n, (partitioned, orphan, extension, parents)) in rows.iter().enumerate() {
            let mut chosen: Vec<usize> = if *orphan || n == 0 { vec![] } else { parents.iter().map(|i| i.index(n)).collect() };
            chosen.sort_unstable();
            chosen.dedup();
            if chosen.iter().any(|i| tables[*i].partitioned) {
                chosen.truncate(1);
            }
            let of_partitioned = chosen.first().is_some_and(|i| tables[*i].partitioned);
            tables.push(Table {
                name: name(&format!("t{n}")),
                extension: *extension == 0,
                partitioned: *partitioned && (chosen.is_empty() || of_partitioned),
                parents: chosen.into_iter().map(|i| tables[i].name.clone()).collect(),
            });
        }
        let references = edges.iter().map(|(a, b)| Reference {
            constraint: "fk".to_owned(),
            from: tables[a.index(tables.len())].name.clone(),
            to: tables[b.index(tables.len())].name.clone(),
        }).collect();
        Inventory { tables, references, sequences: vec![], materialized_views: vec![] }
    }
}

proptest! {
    #[test]
    fn nothing_kept_is_ever_truncated_and_all_else_is(inventory in any_inventory(), keep in prop::collection::vec(0..12usize, 0..4)) {
        let keep: Vec<_> = keep.into_iter().map(|n| format!("t{n}")).collect();
        let Ok(plan) = plan_clean(&inventory, &keep, &[]) else { return Ok(()) };
        let empty = emptied(&inventory, &plan);
        let mut kept: BTreeSet<_> = inventory.tables.iter()
            .filter(|t| t.extension || keep.contains(&t.name.name)).map(|t| t.name.clone()).collect();
        while let Some(more) = inventory.tables.iter().find(|t| !kept.contains(&t.name) && t.parents.iter().any(|p| kept.contains(p))) {
            kept.insert(more.name.clone());
        }
        prop_assert!(empty.is_disjoint(&kept), "{plan:?}");
        for table in inventory.tables.iter().filter(|t| !t.partitioned && !kept.contains(&t.name)) {
            prop_assert!(empty.contains(&table.name), "{} stays full: {plan:?}", table.name);
        }
        for truncate in plan.truncate.iter().filter(|t| t.only) {
            prop_assert!(!inventory.tables.iter().any(|t| t.name == truncate.table && t.partitioned));
        }
        // As heap_truncate_check_FKs does: whoever references an emptied table has to be emptied with it.
        for reference in &inventory.references {
            prop_assert!(!empty.contains(&reference.to) || empty.contains(&reference.from)
                || inventory.tables.iter().any(|t| t.name == reference.from && t.partitioned), "{reference:?} {plan:?}");
        }
    }
}
