// A gnnflow-receive of its own for a test, on a socket pair, with a line between that a test can spoil.
#pragma once

#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/wire/message.h"
#include "orchestrator/remote/far_files.h"

namespace gnnflow {

const fs::path kReceiver = fs::path(GNNFLOW_PROGRAMS_FOLDER) / "gnnflow-receive";

class ReceiverProcess {
 public:
  // Sees each piece on its way there, with its place in the stream; may change it, and cuts the line by
  // returning false.
  using Line = std::function<bool(std::string& bytes, int64_t offset)>;

  explicit ReceiverProcess(Line to_it = {}, Line from_it = {})
      : ReceiverProcess(
            {kReceiver.string()}, [] {}, std::move(to_it), std::move(from_it)) {}
  // Another program that says the same line first; `before` is called in its process.
  ReceiverProcess(std::vector<std::string> command, const std::function<void()>& before, Line to_it = {},
                  Line from_it = {}) {
    std::vector<char*> words;
    for (std::string& word : command) words.push_back(word.data());
    words.push_back(nullptr);
    Result<std::pair<FileDescriptor, FileDescriptor>> ends = make_socket_pair();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends->second.get(), 0);
      ::dup2(ends->second.get(), 1);
      before();
      ::execvp(words[0], words.data());
      ::_exit(127);
    }
    ends->second.reset();
    link_ = std::move(ends->first);
    if (to_it || from_it) spoil(std::move(to_it), std::move(from_it));
    const std::string line = "gnnflow-ready 1\n";
    std::string said;
    char byte = 0;
    while (said.size() < line.size() && ::read(link_.get(), &byte, 1) == 1) said += byte;
    EXPECT_EQ(said, line);
  }
  ~ReceiverProcess() {
    link_.reset();
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
    for (std::thread& pump : pumps_) pump.join();
  }

  MessageLink link() { return MessageLink(std::move(link_)); }
  // REQUIRES: once.
  FarFiles far_files(FarFilesSettings settings = {}) {
    Result<FarFiles> files =
        FarFiles::open(link(), Deadline::after(Milliseconds(30'000)), std::move(settings));
    if (!files) bug(files.error().message);
    return std::move(*files);
  }
  int pid() const { return pid_; }
  // Its exit code, or 128 + the signal that ended it.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  // Until one of both ends.
  static void pump(int from, int to, const Line& line) {
    std::string buffer(1 << 16, '\0');
    int64_t offset = 0;
    while (true) {
      const ssize_t got = ::recv(from, buffer.data(), buffer.size(), 0);
      if (got <= 0) break;
      std::string piece = buffer.substr(0, static_cast<size_t>(got));
      if (line && !line(piece, offset)) break;
      offset += got;
      if (::send(to, piece.data(), piece.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(piece.size())) break;
    }
    ::shutdown(from, SHUT_RDWR);
    ::shutdown(to, SHUT_RDWR);
  }
  void spoil(Line to_it, Line from_it) {
    Result<std::pair<FileDescriptor, FileDescriptor>> ends = make_socket_pair();
    auto near = std::make_shared<FileDescriptor>(std::move(ends->second));
    auto far = std::make_shared<FileDescriptor>(std::move(link_));
    link_ = std::move(ends->first);
    pumps_.emplace_back([=] { pump(near->get(), far->get(), to_it); });
    pumps_.emplace_back([=] { pump(far->get(), near->get(), from_it); });
  }

  int pid_ = 0;
  FileDescriptor link_;
  std::vector<std::thread> pumps_;
};

}  // namespace gnnflow
