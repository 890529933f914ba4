//! Tables of trees come back as they were written, whole and tree by tree.

use galapagos_domain::ids::Digest;
use galapagos_domain::trajectory::Outcome;
use galapagos_domain::tree::PlayedTurn;

use super::*;

fn node(number: u32) -> TreeNode {
    TreeNode {
        job: "e/g1/forest/0".parse().unwrap(),
        tree: "math/train/17".to_owned(),
        task_set: "math".parse().unwrap(),
        task: "train/17".to_owned(),
        policy: Digest::of(b"policy"),
        node: number,
        parent: number.checked_sub(1),
        depth: number,
        part: NodePart::NAMES[number as usize % 3].0,
        guidance: (number == 2).then(|| Guidance { text: "tried: \u{1F426}\n".to_owned(), tokens: vec![9, 8] }),
        tokens: (0..number).collect(),
        prefix_len: 3 * u32::from(number == 0),
        log_probs: (0..number).map(|i| -0.25 * i as f32).collect(),
        text: "2 + 2 = \u{1F426}".to_owned(),
        turn: match number {
            3 => Some(TreeTurn::Failed(Verdict::new(Outcome::Timeout, "http://there is silent"))),
            4 => Some(TreeTurn::Played(PlayedTurn {
                reward: 0.1,
                score: 1.0 / 3.0,
                refused: Some("a wall".to_owned()),
                over: true,
                shown: "\"#\"\n> ".to_owned(),
            })),
            _ => None,
        },
        end: (number > 0).then(|| NodeEnd::NAMES[number as usize % 5].0),
        closed: number.is_multiple_of(2),
        found: number == 4,
        visits: f64::from(number),
        sum: -0.1 * f64::from(number),
        q: 1.0 / 3.0,
        own: (number > 1).then_some(0.1),
        verdict: match number {
            0 | 1 => None,
            2 => Some(Verdict {
                confidence: Some(0.5),
                cost: 7,
                class: Some(1),
                ..Verdict::fail("read 3").scored(0.25).by("rule/1")
            }),
            _ => Some(Verdict::new(Outcome::Timeout, "slow")),
        },
        scores: (0..number % 3).map(|i| Score { by: format!("prm/{i}"), value: i as f32 }).collect(),
        errors: number,
        asked: number + 1,
        again: number + 2,
        batch: number + 3,
    }
}

#[test]
fn nodes_round_trip_with_their_note_and_equal_nodes_give_equal_bytes() {
    let nodes: Vec<TreeNode> = (0..6).map(node).collect();
    let bytes = encode(&nodes, Some("{\"front\": [3]}")).unwrap();
    assert_eq!(encode(&nodes, Some("{\"front\": [3]}")).unwrap(), bytes);
    assert_eq!(decode(bytes).unwrap(), (nodes, Some("{\"front\": [3]}".to_owned())));
    assert_eq!(decode(encode(&[], None).unwrap()).unwrap(), (Vec::new(), None));
    assert!(decode(Bytes::from_static(b"not parquet")).is_err());
}

#[test]
fn a_reader_gives_tree_by_tree() {
    let trees: Vec<Vec<TreeNode>> = [1u32, 700, 3]
        .into_iter()
        .zip(0..)
        .map(|(nodes, tree)| {
            (0..nodes).map(|number| TreeNode { tree: format!("math/train/{tree}"), ..node(number % 9) }).collect()
        })
        .collect();
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &encode(&trees.concat(), None).unwrap()).unwrap();
    let read: Result<Vec<_>, _> = Reader::open(file).unwrap().collect();
    assert_eq!(read.unwrap(), trees);
}
