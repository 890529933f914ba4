//! Equations and inequalities against each other: the same up to a factor that is not zero, for inequalities with its sign.
//! Inequalities that are plain intervals of one variable are left to `spans`.

use super::compare::{Context, Decision};
use super::node::{Node, Sign};
use super::structure::assigned;
use super::{scalar, spans, structure};

/// Whether two relations are the same; `None` unless both are relations.
pub(super) fn same(gold: &Node, answer: &Node, context: &mut Context<'_>) -> Option<Decision> {
    let (Node::Relation(first, rest), Node::Relation(other_first, other_rest)) = (gold, answer) else { return None };
    if let (Some((variable, _)), Some((other, _))) = (spans::of_relation(gold), spans::of_relation(answer)) {
        if variable != other {
            return Some(Ok(false));
        }
        return spans::same(gold, answer, context);
    }
    if let ([(sign, right)], [(other_sign, other_right)]) = (rest.as_slice(), other_rest.as_slice()) {
        if *sign == Sign::Within || *other_sign == Sign::Within {
            return Some(both(first, other_first, right, other_right, context).map(|same| same && sign == other_sign));
        }
        if !structure::is_value(first)
            || !structure::is_value(other_first)
            || !structure::is_value(right)
            || !structure::is_value(other_right)
        {
            return Some(both(first, other_first, right, other_right, context).map(|same| same && sign == other_sign));
        }
        return Some(one(&(first, *sign, right), &(other_first, *other_sign, other_right), context));
    }
    Some(chains(gold, answer, context))
}

fn both(a: &Node, b: &Node, c: &Node, d: &Node, context: &mut Context<'_>) -> Decision {
    Ok(structure::same(a, b, context)? && structure::same(c, d, context)?)
}

type Simple<'a> = (&'a Node, Sign, &'a Node);

fn one(gold: &Simple<'_>, answer: &Simple<'_>, context: &mut Context<'_>) -> Decision {
    let ((left, sign, right), (other_left, other_sign, other_right)) = (gold, answer);
    let difference = |a: &Node, b: &Node| Node::Sum(vec![a.clone(), b.clone().negated()]);
    let (a, b) = (difference(left, right), difference(other_left, other_right));
    let ordered = sign.is_order() && other_sign.is_order();
    if !ordered && sign != other_sign {
        return Ok(false);
    }
    let factor = scalar::factor(&a, &b, context)?;
    Ok(match factor {
        None => false,
        Some(_) if !ordered => true,
        Some(factor) => *sign == if factor > 0 { *other_sign } else { other_sign.flipped() },
    })
}

/// Chains such as `a < x < b`, read in either direction, part by part.
fn chains(gold: &Node, answer: &Node, context: &mut Context<'_>) -> Decision {
    if let (Some((name, value)), Some((other, other_value))) = (assigned(gold), assigned(answer)) {
        return both(name, other, value, other_value, context);
    }
    let forward = parts(gold);
    let mut backward: Vec<(Node, Sign)> = Vec::new();
    let answered = parts(answer);
    if forward.len() != answered.len() {
        return Ok(false);
    }
    for (place, (node, _)) in answered.iter().enumerate().rev() {
        let sign = place.checked_sub(1).map_or(Sign::Equal, |before| answered[before].1.flipped());
        backward.push((node.clone(), sign));
    }
    for candidate in [&answered, &backward] {
        let mut all = true;
        for ((a, sign), (b, other)) in forward.iter().zip(candidate) {
            all = all && sign == other && structure::same(a, b, context)?;
        }
        if all {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Each part with the sign after it, `=` after the last.
fn parts(node: &Node) -> Vec<(Node, Sign)> {
    let Node::Relation(first, rest) = node else { return Vec::new() };
    let mut parts = vec![(first.as_ref().clone(), Sign::Equal)];
    for (sign, node) in rest {
        if let Some(last) = parts.last_mut() {
            last.1 = *sign;
        }
        parts.push((node.clone(), Sign::Equal));
    }
    parts
}
