#include "caffe/common.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <random>

#include "caffe/util/rng.hpp"

namespace caffe {

namespace {

// The mode that a thread starts with: the one set last, in whichever thread.
std::atomic<Caffe::Brew> last_mode{Caffe::CPU};

}  // namespace

class Caffe::RNG::Generator {
 public:
  explicit Generator(unsigned int seed) : rng_(seed) {}
  rng_t* rng() { return &rng_; }

 private:
  rng_t rng_;
};

Caffe::RNG::RNG() : RNG(std::random_device{}()) {}

Caffe::RNG::RNG(unsigned int seed) : generator_(std::make_shared<Generator>(seed)) {}

Caffe::RNG::RNG(const RNG& other) = default;

Caffe::RNG& Caffe::RNG::operator=(const RNG& other) = default;

void* Caffe::RNG::generator() { return generator_->rng(); }

Caffe::Caffe() : mode_(last_mode) {}

#ifdef CPU_ONLY
Caffe::~Caffe() = default;
#else
Caffe::~Caffe() { ReleaseHandles(); }
#endif

Caffe& Caffe::Get() {
  static thread_local Caffe instance;
  return instance;
}

Caffe::RNG& Caffe::rng_stream() {
  Caffe& instance = Get();
  if (!instance.random_generator_) {
    const unsigned int seed = std::random_device{}();
    LOG(INFO) << "Random numbers start from seed " << seed << ", as none was set";
    set_random_seed(seed);
  }
  return *instance.random_generator_;
}

void Caffe::set_mode(Brew mode) {
  Get().mode_ = mode;
  last_mode = mode;
}

void Caffe::set_random_seed(const unsigned int seed) {
  Caffe& instance = Get();
  instance.random_generator_ = std::make_shared<RNG>(seed);
#ifndef CPU_ONLY
  // The next one starts from the new seed.
  if (instance.curand_generator_) CURAND_CHECK(curandDestroyGenerator(instance.curand_generator_));
  instance.curand_generator_ = nullptr;
#endif
}

#ifdef CPU_ONLY

void Caffe::SetDevice(const int) { NO_GPU; }

int Caffe::device_count() { NO_GPU; }

int Caffe::device() { return -1; }

void Caffe::DeviceQuery() { NO_GPU; }

bool Caffe::CheckDevice(const int) { return false; }

int Caffe::FindDevice(const int) { return -1; }

#endif  // CPU_ONLY

}  // namespace caffe
