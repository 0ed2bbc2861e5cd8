#include "steer/pinned_map.h"

#include <linux/bpf.h>

#include <cerrno>

#include "kernel/tcx.h"

namespace weir::steer {

Result<kernel::Fd> open_map(const Options& options, const char* name, uint32_t key_size, uint32_t value_size) {
  auto map = kernel::open_pinned(options.maps_folder() + "/" + name);
  if (!map) {
    if (map.error().kind == Error::Kind::kNotFound) {
      return fail(Error::Kind::kNotFound, "steering is not up (nothing is pinned at " + options.pin_folder + "): weir up first", ENOENT);
    }
    return map;
  }
  bpf_map_info info{};
  uint32_t size = sizeof info;
  const int error = bpf_obj_get_info_by_fd(map->get(), &info, &size);
  if (error != 0) return fail(Error::Kind::kSystem, options.maps_folder() + "/" + name + ": no information", -error);
  if (info.key_size != key_size || info.value_size != value_size) {
    return fail(Error::Kind::kInvalid, "steering is up with maps of another version (" + std::string(name) + "): weir down, then weir up");
  }
  return map;
}

}  // namespace weir::steer
