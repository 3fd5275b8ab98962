#pragma once

#include <bnq/threads.h>

#include <cstdlib>
#include <optional>
#include <string>

namespace bnq::test {

/// Sets an environment variable (or removes it, without a value) and puts the old one back.
class EnvironmentVariable {
 public:
  EnvironmentVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name); old != nullptr) old_ = old;
    set(value);
  }
  ~EnvironmentVariable() { set(old_ ? old_->c_str() : nullptr); }
  EnvironmentVariable(const EnvironmentVariable&) = delete;
  EnvironmentVariable& operator=(const EnvironmentVariable&) = delete;

  void set(const char* value) const {
    if (value != nullptr) {
      setenv(name_, value, 1);
    } else {
      unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

/// Sets the number of threads and puts the old one back.
class ThreadCount {
 public:
  explicit ThreadCount(int count) : old_(num_threads()) { set_num_threads(count); }
  ~ThreadCount() { set_num_threads(old_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int old_;
};

}  // namespace bnq::test
