// Placeholder until the module lands.
int main() { return 70; }
