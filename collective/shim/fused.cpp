// Whole updates of many weights in one pass over memory: libtorch's fused optimiser kernels, which tch does not expose,
// and the norm of a gradient. No collective is among them, and no state is kept.
#include "collective.h"
#include "guard.h"
#include "handles.h"

#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <optional>

using galapagos::guard;
using galapagos::to_tensors;

namespace {

at::Tensor number(double value, at::Device device) {
  return at::full({}, value, at::TensorOptions().dtype(at::kFloat).device(device));
}

// The kernels divide gradients by a number of f32, and write back what they get. Where the inverse of `factor` is none
// with full precision, gradients are multiplied beforehand.
std::optional<at::Tensor> divisor(at::TensorList gradients, double factor) {
  if (factor == 1.0) {
    return std::nullopt;
  }
  const auto inverse = static_cast<float>(1.0 / factor);
  if (!std::isnormal(inverse)) {
    at::_foreach_mul_(gradients, factor);
    return std::nullopt;
  }
  return number(inverse, gradients[0].device());
}

// In f64, where neither the square of an f32 overflows nor small terms are lost after large ones. The lanes are
// independent sums, which the compiler may put into one register without changing a result.
double sum_of_squares(const float* values, int64_t n) {
  constexpr int64_t lanes = 16;
  double sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int64_t j = 0; j < lanes; j++) {
      const double value = values[i + j];
      sums[j] += value * value;
    }
  }
  double sum = 0.0;
  for (; i < n; i++) {
    sum += static_cast<double>(values[i]) * values[i];
  }
  for (const double lane : sums) {
    sum += lane;
  }
  return sum;
}

} // namespace

extern "C" {

int32_t gc_fused_adamw(const GcMoved* moved, const GcAdamw* by) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    auto weights = to_tensors(moved->weights, moved->n);
    auto gradients = to_tensors(moved->gradients, moved->n);
    auto means = to_tensors(moved->firsts, moved->n);
    auto squares = to_tensors(moved->seconds, moved->n);
    if (weights.empty()) {
      return;
    }
    // Only read, so one serves all weights.
    std::vector<at::Tensor> steps(moved->n, number(static_cast<double>(by->step), weights[0].device()));
    auto scale = divisor(gradients, by->gradient_factor);
    at::_fused_adamw_(
        weights, gradients, means, squares, /*max_exp_avg_sqs=*/{}, steps, by->lr, by->beta1, by->beta2,
        by->weight_decay, by->eps, /*amsgrad=*/false, /*maximize=*/false, scale);
  });
}

int32_t gc_fused_sgd(const GcMoved* moved, const GcSgd* by) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    auto weights = to_tensors(moved->weights, moved->n);
    auto gradients = to_tensors(moved->gradients, moved->n);
    std::vector<at::Tensor> momenta;
    if (by->momentum != 0.0) {
      momenta = to_tensors(moved->firsts, moved->n);
    }
    if (weights.empty()) {
      return;
    }
    auto scale = divisor(gradients, by->gradient_factor);
    // The kernel's own decay is added to the gradient, and so to the momentum.
    const double kept = 1.0 - by->lr * by->weight_decay;
    if (kept != 1.0) {
      at::_foreach_mul_(weights, kept);
    }
    at::_fused_sgd_(
        weights, gradients, momenta, /*weight_decay=*/0.0, by->momentum, by->lr, /*dampening=*/0.0,
        by->nesterov != 0, /*maximize=*/false, /*is_first_step=*/false, scale);
  });
}

int32_t gc_norm(const void* const* tensors, size_t n, double* out) {
  return guard([&] {
    c10::NoGradGuard no_grad;
    double sum = 0.0;
    std::vector<at::Tensor> elsewhere;
    for (const auto& tensor : to_tensors(tensors, n)) {
      if (tensor.is_cpu()) {
        sum += sum_of_squares(tensor.const_data_ptr<float>(), tensor.numel());
      } else {
        elsewhere.push_back(tensor);
      }
    }
    if (!elsewhere.empty()) {
      auto norms = at::stack(at::_foreach_norm(elsewhere, 2, at::kDouble));
      sum += norms.square().sum().item<double>();
    }
    *out = std::sqrt(sum);
  });
}

} // extern "C"
