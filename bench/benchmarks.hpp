#pragma once

void register_vector_steps();
void register_set_steps();
void register_sparse_steps();
void register_published();
void register_training();
