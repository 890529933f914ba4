// What a group handle holds; shared with the collectives and the reducer.
#pragma once

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

struct GcGroup {
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  bool closed = false;
};
