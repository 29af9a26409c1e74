// Telling subscribers that their channel has something new, without hurting anybody else: in turns
// of a bounded number, round the channels, between which the loop does its I/O.
#ifndef FRESHET_NODE_HUB_BROADCAST_H
#define FRESHET_NODE_HUB_BROADCAST_H

#include "node/hub/channel.h"

int broadcast_open(struct hub *hub);
void broadcast_close(struct hub *hub); // hub_finish_close hears of its handles

// Somebody was put among the channel's woken subscribers.
void broadcast_run(struct channel *channel);

// Work is left for the next loop turn.
void broadcast_continue(struct hub *hub);

#endif
