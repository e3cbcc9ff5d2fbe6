// A message said in one expression.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "common/wire/message.h"

namespace gnnflow {

// {"type": type, members...}
inline Message message_of(std::string_view type, Json::Object members = {}, std::string body = {}) {
  members.insert_or_assign("type", type);
  return {Json(std::move(members)), std::move(body)};
}

}  // namespace gnnflow
