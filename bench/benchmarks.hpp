#pragma once

void register_vector_steps();
void register_training();
