//! Every family of losses, adapters, averages and shared optimisers through a whole cluster: rollouts, rounds, evaluation.

use galapagos_tests::{Client, RunCommand, Sandbox, binaries};

#[test]
fn one_evolution_trains_by_every_family_of_losses() {
    let sandbox = Sandbox::new();
    let recipe = binaries::repository().join("recipes/tests/losses.yaml");
    let dir = sandbox.join("run");
    let result = RunCommand::new(&recipe, &dir).seed(3).finish().result();
    assert!(result["pass_at_1"].is_number(), "{result}");
    let status = Client::of(&dir).json(&["status"]);
    let trained: Vec<_> =
        status["members"].as_array().unwrap().iter().filter_map(|m| m["origin"].get("trained")).collect();
    assert_eq!(trained.len(), 7, "{status}");
    for round in &trained {
        assert!(round["ledger"].is_string() && round["worlds"].is_array(), "{round}");
    }
    assert!(trained[0]["optimiser"].is_string(), "the first round leaves its optimiser for the next: {}", trained[0]);
    // What policy gradients learn from was sampled by their start: engine and trainer are compared.
    let mismatches: Vec<f64> = trained.iter().filter_map(|round| round["mismatch"].as_f64()).collect();
    assert!(mismatches.len() >= 3, "{trained:?}");
    assert!(mismatches.iter().all(|nats| *nats < 1e-3), "in 32-bit floats they agree: {mismatches:?}");
    let steps = status["steps"].as_array().unwrap();
    let scores =
        steps.iter().rfind(|step| step["name"] == "evaluate-8").unwrap()["summary"]["evaluate"]["scores"].clone();
    assert_eq!(scores.as_array().map(Vec::len), Some(5), "adapters are evaluated like other members: {scores}");
}
