// Attributes of a netlink message, handed to a function object: libmnl's own macros are C, its callbacks take void*.
#pragma once
#include <libmnl/libmnl.h>

#include <cstddef>
#include <cstdint>

namespace weir::steer {

template <class Visit>
int visit_attribute(const nlattr* attribute, void* visit) {
  (*static_cast<Visit*>(visit))(mnl_attr_get_type(attribute), attribute);
  return MNL_CB_OK;
}
template <class Visit>
void walk_attributes(const nlmsghdr* message, std::size_t header_size, Visit visit) {
  mnl_attr_parse(message, static_cast<unsigned>(header_size), visit_attribute<Visit>, &visit);
}
template <class Visit>
void walk_nested(const nlattr* nest, Visit visit) {
  mnl_attr_parse_nested(nest, visit_attribute<Visit>, &visit);
}

}  // namespace weir::steer
