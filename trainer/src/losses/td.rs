//! Temporal-difference learning of action values from recorded transitions, with the conservative penalty that keeps
//! the values of actions nobody took from rising. Actions are a finite set; how values are read from a model is the
//! caller's.

use tch::{TchError, Tensor};

use super::check;

/// The one-step target `rewards + gamma (1 - done) max_a next_q_target[a]` (Watkins, 1989); with `next_q_online` the
/// value at the action that it likes best, `next_q_target[argmax_a next_q_online[a]]` (van Hasselt et al., double
/// Q-learning, 2016).
///
/// `rewards`: `[n]`. `done`: 1 where the episode ended by itself, else 0, `[n]`; an episode cut off by a limit is not
/// done. `next_q_target`, `next_q_online`: of the next state, by the target network and the online one, `[n, a]`; not
/// read where `done`. `gamma`: in 0 to 1. Returns `[n]`; no gradient flows through it.
///
/// # Errors
/// See the head of [`losses`](super).
pub fn td_target(
    rewards: &Tensor,
    done: &Tensor,
    next_q_target: &Tensor,
    next_q_online: Option<&Tensor>,
    gamma: f64,
) -> Result<Tensor, TchError> {
    check::option("gamma", gamma, 0.0..=1.0)?;
    let n = check::vector("rewards", rewards)?;
    check::flags("done", done, n)?;
    let (rows, actions) = check::matrix("next_q_target", next_q_target)?;
    check::shape("next_q_target", next_q_target, &[n, actions])?;
    let best = match next_q_online {
        None => next_q_target.f_amax(-1, false)?,
        Some(online) => {
            check::shape("next_q_online", online, &[rows, actions])?;
            next_q_target.f_gather(-1, &online.f_argmax(-1, true)?, false)?.f_squeeze_dim(-1)?
        }
    };
    let future = best.f_zeros_like()?.f_where_self(&done.f_eq(1.0)?, &best)?;
    future.f_mul_scalar(gamma)?.f_add(rewards)?.f_detach()
}

/// Options of [`td_conservative`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conservative {
    /// Weight of the penalty; at least 0.
    pub alpha: f64,
    /// Whether values are pushed down only as far as the return that was observed (Cal-QL).
    pub calibrated: bool,
}

/// The two terms of a conservative temporal-difference loss, to be added; both `[n]`.
#[derive(Debug)]
pub struct TdLoss {
    pub td: Tensor,
    /// Contains the factor `alpha`.
    pub penalty: Tensor,
}

/// Conservative Q-learning (Kumar et al., 2020, equation 4): `td = (q[a] - targets)^2 / 2` and
/// `penalty = alpha (ln sum_b exp(q[b]) - q[a])` for the recorded action `a`. Calibrated (Nakamoto et al., Cal-QL,
/// 2023), the first term of the penalty reads `max(q[b], mc_returns)` in place of `q[b]`, so that no value is pushed
/// below what was really reached.
///
/// `q`: learned, `[n, a]`. `actions`: 64-bit integers, `[n]`, each in `0..a`. `targets`: as from [`td_target`],
/// detached, `[n]`. `mc_returns`: discounted return observed from the state on, detached, `[n]`; needed if
/// `calibrated`, else not read.
///
/// # Errors
/// See the head of [`losses`](super); also if `calibrated` without `mc_returns`.
pub fn td_conservative(
    q: &Tensor,
    actions: &Tensor,
    targets: &Tensor,
    options: Conservative,
    mc_returns: Option<&Tensor>,
) -> Result<TdLoss, TchError> {
    let Conservative { alpha, calibrated } = options;
    check::option("alpha", alpha, 0.0..f64::INFINITY)?;
    let (n, count) = check::matrix("q", q)?;
    check::indices("actions", actions, n, count)?;
    check::shape("targets", targets, &[n])?;
    let taken = q.f_gather(-1, &actions.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?;
    let pushed_down = if calibrated {
        let returns = mc_returns.ok_or_else(|| {
            TchError::Convert("`calibrated` is set but `mc_returns` is missing; give the observed returns".to_owned())
        })?;
        check::shape("mc_returns", returns, &[n])?;
        q.f_maximum(&returns.f_detach()?.f_unsqueeze(-1)?)?
    } else {
        q.shallow_clone()
    };
    Ok(TdLoss {
        td: taken.f_sub(&targets.f_detach()?)?.f_square()?.f_mul_scalar(0.5)?,
        penalty: pushed_down.f_logsumexp(-1, false)?.f_sub(&taken)?.f_mul_scalar(alpha)?,
    })
}
