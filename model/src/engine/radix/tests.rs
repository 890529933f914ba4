//! The tree against a plain list of what was put into it.

use proptest::prelude::*;

use super::*;

const PAGE: usize = PAGE_TOKENS;

/// A page whose tokens are all `token` but the last, so that pages share long beginnings.
fn page(token: u32, last: u32) -> Vec<u32> {
    let mut tokens = vec![token; PAGE];
    tokens[PAGE - 1] = last;
    tokens
}

fn new(inserted: Inserted) -> NodeId {
    match inserted {
        Inserted::New(id) => id,
        Inserted::Known(_) => panic!("these tokens were not there"),
    }
}

#[test]
fn finds_full_pages_and_the_longest_common_beginning() {
    let (mut tree, mut freed) = (RadixTree::default(), Vec::new());
    let root = tree.add_root();
    let a = new(tree.insert(root, &page(1, 2), 10, &mut freed));
    let b = new(tree.insert(a, &page(5, 6), 11, &mut freed));
    let partial = new(tree.insert(a, &[5, 5, 9], 12, &mut freed));
    assert_eq!(tree.full_child(root, &page(1, 2)), Some(a));
    assert_eq!(tree.full_child(root, &page(1, 3)), None);
    assert_eq!(tree.full_child(root, &[1]), None);
    assert_eq!(tree.longest(root, &page(1, 3)), Some((a, PAGE - 1)));
    assert_eq!(tree.longest(a, &[5, 5, 9, 1]), Some((partial, 3)));
    assert_eq!(tree.longest(a, &[5, 5, 5]), Some((b, 3)));
    assert_eq!(tree.longest(a, &[4]), None);
    assert_eq!((tree.depth(b), tree.page(b), tree.parent(b)), (2, 11, Some(a)));
}

#[test]
fn another_root_never_matches() {
    let (mut tree, mut freed) = (RadixTree::default(), Vec::new());
    let (one, other) = (tree.add_root(), tree.add_root());
    tree.insert(one, &page(1, 2), 10, &mut freed);
    assert_eq!(tree.full_child(other, &page(1, 2)), None);
    assert_eq!(tree.longest(other, &page(1, 2)), None);
    assert_eq!(tree.remove_root(one), Some(vec![10]));
    assert_eq!((tree.owned(), tree.evictable()), (0, 0));
}

#[test]
fn longer_pages_replace_partial_ones_but_not_lent_ones() {
    let (mut tree, mut freed) = (RadixTree::default(), Vec::new());
    let root = tree.add_root();
    new(tree.insert(root, &[1, 2], 10, &mut freed));
    assert!(matches!(tree.insert_borrowed(root, &[1], 77, &mut freed), Inserted::Known(_)));
    new(tree.insert(root, &[1, 2, 3], 12, &mut freed));
    assert_eq!(freed, [10], "its tokens are in the longer one");
    let lent = new(tree.insert_borrowed(root, &[1, 2, 3, 4], 77, &mut freed));
    assert_eq!(freed, [10, 12]);
    assert_eq!((tree.owned(), tree.evictable(), tree.evict()), (0, 0, None), "a lent page is its owner's");
    tree.remove_borrowed(lent);
    assert_eq!(tree.longest(root, &[1]), None);
}

#[test]
fn eviction_takes_the_leaf_used_longest_ago_that_nobody_needs() {
    let (mut tree, mut freed) = (RadixTree::default(), Vec::new());
    let root = tree.add_root();
    let a = new(tree.insert(root, &page(1, 1), 0, &mut freed));
    let b = new(tree.insert(a, &page(2, 2), 1, &mut freed));
    let c = new(tree.insert(root, &page(3, 3), 2, &mut freed));
    tree.hold(b);
    tree.hold(c);
    assert_eq!((tree.evictable(), tree.evict()), (0, None));
    tree.release(c);
    tree.release(b);
    assert_eq!(tree.evictable(), 3);
    // `a` is as recently used as `b`, which stands on it.
    assert_eq!([tree.evict(), tree.evict(), tree.evict(), tree.evict()], [Some(2), Some(1), Some(0), None]);
}

#[test]
fn holding_what_is_held_costs_nothing_however_deep() {
    let (mut tree, mut freed) = (RadixTree::default(), Vec::new());
    let mut node = tree.add_root();
    for depth in 0..1000 {
        node = new(tree.insert(node, &page(depth, 0), depth, &mut freed));
    }
    tree.hold(node);
    let above = tree.parent(node).unwrap();
    let pins = tree.node(above).pins;
    tree.hold(node);
    assert_eq!(tree.node(above).pins, pins, "the second holder does not climb");
}

#[derive(Clone, Debug)]
enum Action {
    /// Put a page of this many tokens behind a held or known node.
    Insert {
        parent: usize,
        token: u32,
        length: usize,
    },
    Hold(usize),
    Release(usize),
    Evict,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let insert = (0..8usize, 0..3u32, prop_oneof![Just(PAGE), 1..PAGE]);
    let insert = insert.prop_map(|(parent, token, length)| Action::Insert { parent, token, length });
    let one = prop_oneof![
        4 => insert,
        2 => (0..8usize).prop_map(Action::Hold),
        2 => (0..8usize).prop_map(Action::Release),
        1 => Just(Action::Evict),
    ];
    proptest::collection::vec(one, 1..120)
}

proptest! {
    /// Invariants: every page is in exactly one place; held nodes and their ancestors stay; what is counted as evictable can be
    /// evicted, all of it.
    #[test]
    fn pages_are_conserved_and_held_nodes_stay(actions in actions()) {
        let (mut tree, mut freed) = (RadixTree::default(), Vec::new());
        let root = tree.add_root();
        let (mut next, mut given, mut held) = (0, Vec::new(), vec![root]);
        tree.hold(root);
        for action in actions {
            match action {
                Action::Insert { parent, token, length } => {
                    let parent = held[parent % held.len()];
                    match tree.insert(parent, &vec![token; length], next, &mut freed) {
                        Inserted::New(id) if length == PAGE => { tree.hold(id); held.push(id); next += 1 }
                        Inserted::New(_) => next += 1,
                        Inserted::Known(_) => {}
                    }
                }
                Action::Hold(index) => { let id = held[index % held.len()]; tree.hold(id); held.push(id) }
                Action::Release(index) if held.len() > 1 => {
                    let id = held.remove(1 + index % (held.len() - 1));
                    tree.release(id);
                }
                Action::Release(_) => {}
                Action::Evict => given.extend(tree.evict()),
            }
            for id in &held {
                let mut above = Some(*id);
                while let Some(id) = above {
                    prop_assert!(tree.is_pinned(id));
                    above = tree.parent(id);
                }
            }
            prop_assert_eq!(tree.owned() + given.len() + freed.len(), next as usize);
        }
        let (owned, evictable) = (tree.owned(), tree.evictable());
        let mut evicted = 0;
        while let Some(page) = tree.evict() { given.push(page); evicted += 1 }
        prop_assert_eq!(evicted, evictable);
        prop_assert_eq!(tree.owned(), owned - evictable);
        for id in held { tree.release(id) }
        given.extend(freed);
        given.extend(tree.remove_root(root).unwrap());
        given.sort_unstable();
        prop_assert_eq!(given, (0..next).collect::<Vec<_>>());
    }
}
