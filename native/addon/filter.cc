// SPDX-License-Identifier: Apache-2.0
// Lists clsact filters over rtnetlink: libbpf can ask for one by number alone. Input: an interface, a direction.
// Output: filters. Invariant: bounded by what the kernel sends; lengths are checked before they are believed.
#include "filter.h"
#include "handle.h"
#include <cerrno>
#include <cstring>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace weir {
namespace {

/** Attributes of a block of them; `visit(type, data, size)`. */
template <typename Visit> void eachAttribute(const uint8_t *at, size_t size, Visit visit) {
  while (size >= sizeof(rtattr)) {
    rtattr head;
    memcpy(&head, at, sizeof head);
    if (head.rta_len < sizeof head || head.rta_len > size)
      return;
    visit(head.rta_type & NLA_TYPE_MASK, at + sizeof head, head.rta_len - sizeof head);
    const size_t step = RTA_ALIGN(head.rta_len);
    if (step >= size)
      return;
    at += step;
    size -= step;
  }
}

std::string textOf(const uint8_t *at, size_t size) {
  return std::string(reinterpret_cast<const char *>(at), strnlen(reinterpret_cast<const char *>(at), size));
}

void takeFilter(const uint8_t *message, size_t size, int ifindex, std::vector<Filter> *out) {
  if (size < sizeof(tcmsg))
    return;
  tcmsg head;
  memcpy(&head, message, sizeof head);
  Filter filter;
  filter.handle = head.tcm_handle;
  filter.priority = TC_H_MAJ(head.tcm_info) >> 16;
  std::string kind;
  const size_t skip = NLMSG_ALIGN(sizeof head);
  eachAttribute(message + skip, size > skip ? size - skip : 0, [&](int type, const uint8_t *data, size_t bytes) {
    if (type == TCA_KIND)
      kind = textOf(data, bytes);
    else if (type == TCA_OPTIONS)
      eachAttribute(data, bytes, [&](int option, const uint8_t *value, size_t length) {
        if (option == TCA_BPF_NAME)
          filter.name = textOf(value, length);
        else if (option == TCA_BPF_ID && length >= sizeof filter.programId)
          memcpy(&filter.programId, value, sizeof filter.programId);
      });
  });
  if (head.tcm_ifindex == ifindex && kind == "bpf" && filter.handle != 0 && filter.programId != 0)
    out->push_back(filter);
}

} // namespace

int listFilters(int ifindex, bool egress, std::vector<Filter> *out) {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket)
    return -errno;
  const timeval patience = {5, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  struct {
    nlmsghdr head;
    tcmsg filter;
  } request;
  memset(&request, 0, sizeof request);
  request.head.nlmsg_len = sizeof request;
  request.head.nlmsg_type = RTM_GETTFILTER;
  request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.filter.tcm_ifindex = ifindex;
  request.filter.tcm_parent = TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
  if (send(socket.get(), &request, sizeof request, 0) < 0)
    return -errno;
  std::vector<uint8_t> buffer(1 << 16);
  for (;;) {
    const ssize_t got = recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return got < 0 ? -errno : -EIO;
    size_t at = 0;
    const size_t size = static_cast<size_t>(got);
    while (size - at >= sizeof(nlmsghdr)) {
      nlmsghdr head;
      memcpy(&head, buffer.data() + at, sizeof head);
      if (head.nlmsg_len < sizeof head || head.nlmsg_len > size - at)
        return -EBADMSG;
      if (head.nlmsg_type == NLMSG_DONE)
        return 0;
      if (head.nlmsg_type == NLMSG_ERROR) {
        int error = -EIO;
        if (head.nlmsg_len >= NLMSG_HDRLEN + sizeof error)
          memcpy(&error, buffer.data() + at + NLMSG_HDRLEN, sizeof error);
        // No clsact there: no filters.
        return error == -EINVAL || error == -ENOENT ? 0 : error;
      }
      if (head.nlmsg_type == RTM_NEWTFILTER && head.nlmsg_len >= NLMSG_HDRLEN)
        takeFilter(buffer.data() + at + NLMSG_HDRLEN, head.nlmsg_len - NLMSG_HDRLEN, ifindex, out);
      at += NLMSG_ALIGN(head.nlmsg_len);
      if (at > size)
        break;
    }
  }
}

} // namespace weir
