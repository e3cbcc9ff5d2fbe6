// The end of a far program.
#include "orchestrator/remote/far_end.h"

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr size_t kMostWords = 4 << 10;

}  // namespace

void FarEnd::State::say(std::string_view text) {
  std::lock_guard lock(mutex);
  // It ends on a terminal: no escape sequences of others.
  for (const char letter : text)
    words += letter == '\n' || static_cast<unsigned char>(letter) >= ' ' ? letter : ' ';
  if (words.size() > kMostWords) words.erase(0, words.size() - kMostWords);
}

void FarEnd::State::finish(int code, const std::string& why) {
  std::lock_guard lock(mutex);
  if (status) return;
  status = code;
  broken = why;
  changed.notify_all();
}

std::optional<int> FarEnd::status(Deadline deadline) const {
  std::unique_lock lock(state_->mutex);
  const auto ended = [&] { return state_->status.has_value(); };
  if (deadline.poll_timeout() < 0) {
    state_->changed.wait(lock, ended);
  } else {
    state_->changed.wait_for(lock, deadline.left(), ended);
  }
  return state_->status;
}

std::string FarEnd::last_words() const {
  std::lock_guard lock(state_->mutex);
  std::string said(trimmed(state_->words));
  if (state_->broken.empty()) return said;
  return said.empty() ? state_->broken : said + "; " + state_->broken;
}

}  // namespace gnnflow
